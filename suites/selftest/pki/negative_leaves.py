"""Leaves that must be refused, each with its exact mismatches."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from fixtures.pki import SpiffeId, mint
from fixtures.pki import mismatch as m
from fixtures.pki.mint import LEAF, NOON, WORKLOAD
from suites.selftest.pki import case
from suites.selftest.pki.case import Case, leaf_case

SECOND = timedelta(seconds=1)
OTHER = "spiffe://example.org/ns/default/sa/ratings"
UNKNOWN = ObjectIdentifier("1.3.6.1.4.1.55555.1")
LONG_NAME = "a" * 256
LONG_PATH = "b" * 2048

ROOT_NAME = "O=meshproof,CN=root"


def invalid_id(name: str, uri: str, rule: str) -> Case:
    """A leaf whose one URI SAN breaks one rule of SPIFFE-ID."""
    shown = f"'{uri}'" if len(uri) < 199 else f"{repr(uri)[:120]}... ({len(uri)} characters)"
    found = m.InvalidSpiffeId(position=0, uri=uri, reason=f"{rule}: {shown}")
    return leaf_case(name, replace(LEAF, uris=(uri,)), found)


IDENTITY = (
    leaf_case("no-san", replace(LEAF, uris=()), m.NoUriSan(position=0)),
    leaf_case("dns-san-only", replace(LEAF, uris=(), dns=("a.b",)), m.NoUriSan(position=0)),
    leaf_case(
        "two-spiffe-ids",
        replace(LEAF, uris=(WORKLOAD, OTHER)),
        m.ExtraUriSans(position=0, uris=(WORKLOAD, OTHER)),
    ),
    leaf_case(
        "second-uri-of-another-scheme",
        replace(LEAF, uris=(WORKLOAD, "https://example.org/")),
        m.ExtraUriSans(position=0, uris=(WORKLOAD, "https://example.org/")),
    ),
    leaf_case(
        "same-uri-twice",
        replace(LEAF, uris=(WORKLOAD, WORKLOAD)),
        m.ExtraUriSans(position=0, uris=(WORKLOAD, WORKLOAD)),
    ),
    leaf_case(
        "https-uri",
        replace(LEAF, uris=("https://example.org/ns/a/sa/b",)),
        m.NotSpiffeScheme(position=0, uri="https://example.org/ns/a/sa/b"),
    ),
    leaf_case(
        "id-without-path",
        replace(LEAF, uris=("spiffe://example.org",)),
        m.LeafWithoutPath(position=0, uri="spiffe://example.org"),
    ),
    invalid_id(
        "scheme-in-capitals",
        "SPIFFE://example.org/a",
        "the scheme must be spiffe, in lower case [SPIFFE-ID 2]",
    ),
    invalid_id(
        "no-authority",
        "spiffe:example.org/a",
        "the scheme must be spiffe, in lower case [SPIFFE-ID 2]",
    ),
    invalid_id("query", "spiffe://example.org/a?b", "no query component [SPIFFE-ID 2]"),
    invalid_id("fragment", "spiffe://example.org/a#b", "no fragment component [SPIFFE-ID 2]"),
    invalid_id("empty-trust-domain", "spiffe:///a", "the trust domain must not be empty [SPIFFE-ID 2.1]"),
    invalid_id("userinfo", "spiffe://a@example.org/a", "the userinfo part must be empty [SPIFFE-ID 2.1]"),
    invalid_id("port", "spiffe://example.org:8443/a", "the port part must be empty [SPIFFE-ID 2.1]"),
    invalid_id(
        "trust-domain-in-capitals",
        "spiffe://Example.org/a",
        "the trust domain must be in lower case [SPIFFE-ID 2.1]",
    ),
    invalid_id(
        "percent-in-trust-domain",
        "spiffe://example%2eorg/a",
        "no percent-encoding in the trust domain [SPIFFE-ID 2.1]",
    ),
    invalid_id(
        "tilde-in-trust-domain",
        "spiffe://example~org/a",
        "a trust domain holds only [a-z0-9.-_] [SPIFFE-ID 2.1]",
    ),
    invalid_id(
        "trust-domain-too-long",
        f"spiffe://{LONG_NAME}/a",
        "a trust domain longer than 255 bytes [SPIFFE-ID 2.3]",
    ),
    invalid_id(
        "id-too-long",
        f"spiffe://example.org/{LONG_PATH}",
        "longer than 2048 bytes [SPIFFE-ID 2.3]",
    ),
    invalid_id("root-path", "spiffe://example.org/", "no trailing slash [SPIFFE-ID 2.2]"),
    invalid_id("trailing-slash", "spiffe://example.org/a/", "no trailing slash [SPIFFE-ID 2.2]"),
    invalid_id("empty-segment", "spiffe://example.org/a//b", "no empty path segment [SPIFFE-ID 2.2]"),
    invalid_id("dot-segment", "spiffe://example.org/./a", "no relative path modifier [SPIFFE-ID 2.2]"),
    invalid_id("dot-dot-segment", "spiffe://example.org/a/..", "no relative path modifier [SPIFFE-ID 2.2]"),
    invalid_id(
        "percent-in-path",
        "spiffe://example.org/a%2fb",
        "no percent-encoding in the path [SPIFFE-ID 2.2]",
    ),
    invalid_id(
        "plus-in-path",
        "spiffe://example.org/a+b",
        "a path segment holds only [a-zA-Z0-9.-_] [SPIFFE-ID 2.2]",
    ),
    Case(
        id="svid-of-another-workload",
        chain=case.LEAF.chain,
        expected=SpiffeId.parse(OTHER),
        mismatches=(m.UnexpectedSpiffeId(position=0, found=WORKLOAD, expected=OTHER),),
        openssl=case.SPIFFE,
    ),
    Case(
        id="bundle-of-another-trust-domain",
        chain=case.LEAF.chain,
        trust_domain="example.com",
        mismatches=(m.ForeignTrustDomain(position=0, found="example.org", expected="example.com"),),
        openssl=case.SPIFFE,
    ),
)

CONSTRAINTS_AND_USAGE = (
    leaf_case(
        "no-subject-and-san-not-critical",
        replace(LEAF, subject=()),
        m.SanNotCritical(position=0),
    ),
    leaf_case("leaf-is-a-ca", replace(LEAF, ca=True), m.LeafIsCa(position=0)),
    leaf_case(
        "leaf-is-a-ca-that-may-sign",
        replace(LEAF, ca=True, key_usage=frozenset({"digital_signature", "key_cert_sign"})),
        m.LeafIsCa(position=0),
        m.LeafKeyCertSign(position=0),
    ),
    leaf_case("no-key-usage", replace(LEAF, key_usage=None), m.MissingKeyUsage(position=0)),
    leaf_case(
        "key-usage-not-critical",
        replace(LEAF, key_usage_critical=False),
        m.KeyUsageNotCritical(position=0),
    ),
    leaf_case(
        "no-digital-signature",
        replace(LEAF, key_usage=frozenset({"key_encipherment"})),
        m.NoDigitalSignature(position=0),
    ),
    leaf_case(
        "leaf-with-key-cert-sign",
        replace(LEAF, key_usage=frozenset({"digital_signature", "key_cert_sign"})),
        m.LeafKeyCertSign(position=0),
    ),
    leaf_case(
        "leaf-with-crl-sign",
        replace(LEAF, key_usage=frozenset({"digital_signature", "crl_sign"})),
        m.LeafCrlSign(position=0),
    ),
    leaf_case(
        "every-fault-of-a-key-usage",
        replace(LEAF, key_usage=frozenset({"key_cert_sign", "crl_sign"}), key_usage_critical=False),
        m.KeyUsageNotCritical(position=0),
        m.NoDigitalSignature(position=0),
        m.LeafKeyCertSign(position=0),
        m.LeafCrlSign(position=0),
    ),
    leaf_case(
        "server-auth-only",
        replace(LEAF, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)),
        m.IncompleteExtendedKeyUsage(position=0, missing=("clientAuth",)),
    ),
    leaf_case(
        "client-auth-only",
        replace(LEAF, purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,)),
        m.IncompleteExtendedKeyUsage(position=0, missing=("serverAuth",)),
    ),
    leaf_case(
        "any-purpose-is-not-both",
        replace(LEAF, purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)),
        m.IncompleteExtendedKeyUsage(position=0, missing=("serverAuth", "clientAuth")),
    ),
    leaf_case(
        "code-signing",
        replace(LEAF, purposes=(ExtendedKeyUsageOID.CODE_SIGNING,), purposes_critical=True),
        m.IncompleteExtendedKeyUsage(position=0, missing=("serverAuth", "clientAuth")),
    ),
    leaf_case(
        "a-ca-signing-certificate-used-as-leaf",
        mint.INTERMEDIATE,
        m.LeafWithoutPath(position=0, uri="spiffe://example.org"),
        m.LeafIsCa(position=0),
        m.NoDigitalSignature(position=0),
        m.LeafKeyCertSign(position=0),
        m.LeafCrlSign(position=0),
        warnings=(m.MissingExtendedKeyUsage(position=0),),
    ),
)

RFC5280 = (
    leaf_case(
        "unknown-critical-extension",
        replace(LEAF, extra=((x509.UnrecognizedExtension(UNKNOWN, b"\x05\x00"), True),)),
        m.UnknownCriticalExtension(position=0, oid=UNKNOWN.dotted_string),
        openssl="",
    ),
    leaf_case(
        "critical-policy-constraints",
        replace(LEAF, extra=((x509.PolicyConstraints(None, 0), True),)),
        m.UnknownCriticalExtension(position=0, oid="2.5.29.36"),
        openssl=case.POLICIES,
    ),
    leaf_case(
        "expired-a-second-ago",
        replace(LEAF, not_after=NOON - SECOND),
        m.Expired(position=0, not_after=NOON - SECOND, now=NOON),
        openssl="",
    ),
    leaf_case(
        "valid-in-a-second",
        replace(LEAF, not_before=NOON + SECOND),
        m.NotYetValid(position=0, not_before=NOON + SECOND, now=NOON),
        openssl="",
    ),
    leaf_case(
        "key-id-of-another-issuer",
        replace(LEAF, authority_key_id=x509.AuthorityKeyIdentifier(b"\x01" * 20, None, None)),
        m.AuthorityKeyIdMismatch(
            position=0,
            authority="01" * 20,
            subject=x509.SubjectKeyIdentifier.from_public_key(
                case.INTERMEDIATE.key.public_key()
            ).digest.hex(),
        ),
        openssl="",
    ),
    leaf_case(
        "serial-of-another-issuer",
        replace(
            LEAF,
            authority_key_id=x509.AuthorityKeyIdentifier(
                None, [x509.DirectoryName(case.ROOT.cert.subject)], 0x1234
            ),
        ),
        m.AuthorityCertSerialMismatch(
            position=0,
            found=f"{ROOT_NAME} serial 1234",
            issuer=f"{ROOT_NAME} serial {case.INTERMEDIATE.cert.serial_number:x}",
        ),
        openssl="",
    ),
)

CASES = (*IDENTITY, *CONSTRAINTS_AND_USAGE, *RFC5280)
