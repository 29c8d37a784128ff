"""Signing certificates and authorities that must be refused, each with its exact mismatches."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from fixtures.pki import TrustBundle, load_der_chain, mint
from fixtures.pki import mismatch as m
from fixtures.pki.mint import INTERMEDIATE, LEAF, NOON, ROOT, WORKLOAD
from suites.selftest.pki import case
from suites.selftest.pki.case import Case, signer_case
from suites.selftest.pki.der import resigned
from suites.selftest.pki.negative_leaves import SECOND, UNKNOWN

URI = x509.UniformResourceIdentifier

# A subjectAltName whose only name has a tag that GeneralName does not have.
MALFORMED_SAN = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, bytes.fromhex("30028f00"))
# An extended key usage without a single purpose: the ASN.1 wants at least one.
EMPTY_PURPOSES = x509.UnrecognizedExtension(x509.ExtendedKeyUsage.oid, bytes.fromhex("3000"))


def root_case(
    name: str,
    profile: mint.Profile,
    *mismatches: m.Mismatch,
    warnings: tuple[m.Mismatch, ...] = (),
    openssl: str = "",
) -> Case:
    """A root that deviates, over a good intermediate and a good leaf."""
    root = mint.authority(profile)
    return Case(
        id=name,
        chain=mint.leaf(mint.intermediate(root)).chain,
        bundle=TrustBundle((root.cert,)),
        mismatches=mismatches,
        warnings=warnings,
        openssl=openssl,
    )


def unreadable(position: int, chain: tuple[x509.Certificate, ...]) -> m.UnreadableCertificate:
    """What is said of a certificate whose extensions cryptography refuses, in its words."""
    try:
        extensions = chain[position].extensions
    except (ValueError, x509.DuplicateExtension) as error:
        return m.UnreadableCertificate(position=position, reason=str(error))
    raise AssertionError(f"readable after all: {extensions}")


def constrained(
    name: str,
    *mismatches: m.Mismatch,
    permitted: tuple[x509.GeneralName, ...] | None = None,
    excluded: tuple[x509.GeneralName, ...] | None = None,
    leaf: mint.Profile = LEAF,
    openssl: str = "",
) -> Case:
    """A good chain whose intermediate constrains names."""
    subtrees = x509.NameConstraints(permitted, excluded)
    signer = mint.intermediate(case.ROOT, replace(INTERMEDIATE, extra=((subtrees, True),)))
    return Case(id=name, chain=mint.leaf(signer, leaf).chain, mismatches=mismatches, openssl=openssl)


def two_intermediates(name: str, limit: int, *mismatches: m.Mismatch) -> Case:
    """A chain with two intermediates, of which the upper one limits the path length."""
    upper = mint.intermediate(case.ROOT, replace(INTERMEDIATE, path_length=limit, subject=UPPER))
    lower = mint.intermediate(upper)
    return Case(id=name, chain=mint.leaf(lower).chain, mismatches=mismatches)


UPPER = ((x509.NameOID.COMMON_NAME, "upper"),)

_MALFORMED = mint.leaf(
    mint.intermediate(case.ROOT, replace(INTERMEDIATE, uris=(), extra=((MALFORMED_SAN, False),)))
).chain
_NO_PURPOSE = mint.leaf(
    case.INTERMEDIATE, replace(LEAF, purposes=None, extra=((EMPTY_PURPOSES, False),))
).chain

# Two extensions with one OID (RFC 5280 4.2): no builder makes them, so the second OID is changed
# behind its back and the certificate signed again.
_TWICE = (
    *load_der_chain(
        resigned(
            mint.leaf(
                case.INTERMEDIATE,
                replace(
                    LEAF,
                    extra=tuple(
                        (x509.UnrecognizedExtension(oid, b"\x05\x00"), False)
                        for oid in (UNKNOWN, ObjectIdentifier(f"{UNKNOWN.dotted_string[:-1]}2"))
                    ),
                ),
            ).cert,
            case.INTERMEDIATE.key,
            change=(bytes.fromhex("83b20302"), bytes.fromhex("83b20301")),
        )
    ),
    case.INTERMEDIATE.cert,
)

SPIFFE_CLAUSES = (
    signer_case(
        "signer-with-a-path",
        replace(INTERMEDIATE, uris=("spiffe://example.org/spire/server",)),
        m.SigningCertificateWithPath(position=1, uri="spiffe://example.org/spire/server"),
        openssl=case.SPIFFE,
    ),
    signer_case(
        "signer-with-two-uris",
        replace(INTERMEDIATE, uris=("spiffe://example.org", "https://example.org")),
        m.ExtraUriSans(position=1, uris=("spiffe://example.org", "https://example.org")),
        openssl=case.SPIFFE,
    ),
    signer_case(
        "signer-with-an-invalid-id",
        replace(INTERMEDIATE, uris=("spiffe://Example.org",)),
        m.InvalidSpiffeId(
            position=1,
            uri="spiffe://Example.org",
            reason="the trust domain must be in lower case [SPIFFE-ID 2.1]: 'spiffe://Example.org'",
        ),
        openssl=case.SPIFFE,
    ),
    signer_case(
        "signer-without-key-usage",
        replace(INTERMEDIATE, key_usage=None),
        m.MissingKeyUsage(position=1),
        openssl=case.SPIFFE,
    ),
    signer_case(
        "signer-key-usage-not-critical",
        replace(INTERMEDIATE, key_usage_critical=False),
        m.KeyUsageNotCritical(position=1),
        openssl=case.SPIFFE,
    ),
    root_case(
        "root-with-a-path",
        replace(ROOT, uris=(WORKLOAD,)),
        m.SigningCertificateWithPath(position=2, uri=WORKLOAD),
        openssl=case.SPIFFE,
    ),
)

CA_FLAGS = (
    signer_case("signer-is-no-ca", replace(INTERMEDIATE, ca=False), m.NotCa(position=1)),
    signer_case("signer-without-basic-constraints", replace(INTERMEDIATE, ca=None), m.NotCa(position=1)),
    signer_case(
        "signer-without-key-cert-sign",
        replace(INTERMEDIATE, key_usage=frozenset({"crl_sign"})),
        m.NoKeyCertSign(position=1),
    ),
    signer_case(
        "signed-by-a-workload",
        LEAF,
        m.NotCa(position=1),
        m.NoKeyCertSign(position=1),
        m.SigningCertificateWithPath(position=1, uri=WORKLOAD),
        warnings=(
            m.SigningCertificateLeafUsage(
                position=1, bits=("digitalSignature", "keyEncipherment", "keyAgreement")
            ),
        ),
    ),
    root_case("root-is-no-ca", replace(ROOT, ca=False), m.NotCa(position=2)),
    root_case(
        "root-without-key-cert-sign",
        replace(ROOT, key_usage=frozenset({"crl_sign"})),
        m.NoKeyCertSign(position=2),
    ),
    two_intermediates("path-length-exceeded", 0, m.PathTooLong(position=2, allowed=0, found=1)),
    root_case(
        "path-length-of-the-root-exceeded",
        replace(ROOT, path_length=0),
        m.PathTooLong(position=2, allowed=0, found=1),
    ),
)

VALIDITY = (
    signer_case(
        "signer-expired",
        replace(INTERMEDIATE, not_after=NOON - SECOND),
        m.Expired(position=1, not_after=NOON - SECOND, now=NOON),
        warnings=(m.OutlivesIssuer(position=0, not_after=LEAF.not_after, issuer_not_after=NOON - SECOND),),
    ),
    signer_case(
        "signer-not-yet-valid",
        replace(INTERMEDIATE, not_before=NOON + SECOND),
        m.NotYetValid(position=1, not_before=NOON + SECOND, now=NOON),
    ),
    root_case(
        "root-expired",
        replace(ROOT, not_after=NOON - SECOND),
        m.Expired(position=2, not_after=NOON - SECOND, now=NOON),
        warnings=(
            m.OutlivesIssuer(position=1, not_after=INTERMEDIATE.not_after, issuer_not_after=NOON - SECOND),
        ),
    ),
    root_case(
        "root-not-yet-valid",
        replace(ROOT, not_before=NOON + SECOND),
        m.NotYetValid(position=2, not_before=NOON + SECOND, now=NOON),
    ),
    Case(
        id="everything-expired",
        chain=case.LEAF.chain,
        now=NOON + timedelta(days=365),
        mismatches=tuple(
            m.Expired(position=at, not_after=p.not_after, now=NOON + timedelta(days=365))
            for at, p in enumerate((LEAF, INTERMEDIATE, ROOT))
        ),
    ),
)

NAME_CONSTRAINTS = (
    constrained(
        "uri-not-permitted",
        m.NameNotPermitted(position=0, found=WORKLOAD, constrained_by=1),
        permitted=(URI("example.com"),),
    ),
    constrained(
        "uri-excluded",
        m.NameExcluded(position=0, found=WORKLOAD, constrained_by=1),
        excluded=(URI("example.org"),),
    ),
    constrained(
        "uri-domain-itself-is-not-below-the-dot",
        m.NameNotPermitted(position=0, found=WORKLOAD, constrained_by=1),
        permitted=(URI(".example.org"),),
    ),
    constrained(
        "dns-excluded",
        m.NameExcluded(position=0, found="reviews.default.svc", constrained_by=1),
        excluded=(x509.DNSName("svc"),),
        leaf=replace(LEAF, dns=("reviews.default.svc",)),
    ),
    constrained(
        "address-not-permitted",
        m.NameNotPermitted(position=0, found="10.0.0.1", constrained_by=1),
        permitted=(x509.IPAddress(ip_network("192.168.0.0/16")),),
        leaf=replace(LEAF, other_sans=(x509.IPAddress(ip_network("10.0.0.1/32").network_address),)),
    ),
    constrained(
        "subject-not-permitted",
        m.NameNotPermitted(position=0, found="O=SPIRE,C=US", constrained_by=1),
        permitted=(x509.DirectoryName(mint.name(UPPER)),),
    ),
    constrained(
        "mail-excluded",
        m.NameExcluded(position=0, found="a@example.org", constrained_by=1),
        excluded=(x509.RFC822Name("example.org"),),
        leaf=replace(LEAF, other_sans=(x509.RFC822Name("a@example.org"),)),
    ),
    constrained(
        "form-that-cannot-be-compared",
        m.NameNotPermitted(position=0, found="1.3.6.1.4.1.55555.1", constrained_by=1),
        permitted=(x509.RegisteredID(UNKNOWN),),
        leaf=replace(LEAF, other_sans=(x509.RegisteredID(UNKNOWN),)),
    ),
    root_case(
        "root-permits-another-trust-domain",
        replace(ROOT, extra=((x509.NameConstraints((URI("example.com"),), None), True),)),
        m.NameNotPermitted(position=0, found=WORKLOAD, constrained_by=2),
        m.NameNotPermitted(position=1, found="spiffe://example.org", constrained_by=2),
    ),
)

UNREADABLE = (
    signer_case(
        "signer-with-unknown-critical-extension",
        replace(INTERMEDIATE, extra=((x509.UnrecognizedExtension(UNKNOWN, b"\x05\x00"), True),)),
        m.UnknownCriticalExtension(position=1, oid=UNKNOWN.dotted_string),
    ),
    Case(
        id="signer-with-malformed-san",
        chain=_MALFORMED,
        mismatches=(unreadable(1, _MALFORMED),),
    ),
    Case(
        id="leaf-with-empty-extended-key-usage",
        chain=_NO_PURPOSE,
        mismatches=(unreadable(0, _NO_PURPOSE),),
        openssl=case.EMPTY_PURPOSES,
    ),
    Case(
        id="leaf-with-an-extension-twice",
        chain=_TWICE,
        mismatches=(unreadable(0, _TWICE),),
        openssl=case.TWICE,
    ),
)

CASES = (*SPIFFE_CLAUSES, *CA_FLAGS, *VALIDITY, *NAME_CONSTRAINTS, *UNREADABLE)
