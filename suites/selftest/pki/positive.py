"""Chains that must be accepted, each with its exact warnings."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from fixtures.pki import SpiffeId, TrustBundle, mint
from fixtures.pki import mismatch as m
from fixtures.pki.mint import CERT_MANAGER_ROOT, INTERMEDIATE, LEAF, ROOT, WORKLOAD, Issued
from suites.selftest.pki import case
from suites.selftest.pki.case import BUNDLE, Case, leaf_case, signer_case
from suites.selftest.pki.negative_leaves import UNKNOWN
from suites.selftest.pki.negative_signers import UPPER, URI

KINDS: tuple[mint.KeyKind, ...] = ("rsa", "p256", "p384", "ed25519")
KEYS = {kind: mint.new_key(kind) for kind in KINDS}
OTHER_KEYS = {kind: mint.new_key(kind) for kind in KINDS}
NO_SPIFFE_ID = m.SigningCertificateNotSvid


def of_depth(presented: int, kind: mint.KeyKind) -> Case:
    """A chain of so many presented certificates, all with keys of one kind, under cert-manager."""
    parent = root = mint.authority(CERT_MANAGER_ROOT, key=KEYS[kind])
    for level in range(presented - 1):
        profile = replace(INTERMEDIATE, subject=((x509.NameOID.COMMON_NAME, f"level {level}"),))
        parent = mint.intermediate(parent, profile, key=OTHER_KEYS[kind])
    return Case(
        id=f"{presented}-presented-{kind}",
        chain=mint.leaf(parent, key=OTHER_KEYS[kind]).chain,
        bundle=TrustBundle((root.cert,)),
        warnings=(NO_SPIFFE_ID(position=presented),),
        expected=SpiffeId.parse(WORKLOAD),
        trust_domain="example.org",
        depth=presented + 1,
    )


def of_kinds(root_kind: mint.KeyKind, signer_kind: mint.KeyKind) -> Case:
    """A chain in which every certificate has a key of another kind."""
    root = mint.authority(key=KEYS[root_kind])
    signer = mint.intermediate(root, key=OTHER_KEYS[signer_kind])
    return Case(
        id=f"{root_kind}-signs-{signer_kind}",
        chain=mint.leaf(signer).chain,
        bundle=TrustBundle((root.cert,)),
        depth=3,
    )


def under(name: str, parent: Issued, *, warnings: tuple[m.Mismatch, ...] = ()) -> Case:
    """A good leaf under a signing certificate, verified with that one's root."""
    return Case(
        id=name,
        chain=mint.leaf(parent).chain,
        bundle=TrustBundle((parent.root,)),
        warnings=warnings,
    )


def constrained_root() -> Issued:
    """A root that permits exactly the trust domain, and mail and addresses nobody has."""
    subtrees = x509.NameConstraints((URI("example.org"), x509.RFC822Name("nobody")), None)
    return mint.authority(replace(ROOT, extra=((subtrees, True),)))


def rolled_over() -> Issued:
    """A root, its self-issued successor, and a path length that does not count it."""
    root = mint.authority(replace(ROOT, path_length=1))
    successor = mint.intermediate(root, ROOT)
    return mint.intermediate(successor, replace(INTERMEDIATE, subject=UPPER))


_cross_key = mint.new_key("p256")
_new_root = mint.authority(replace(ROOT, subject=UPPER), key=_cross_key)
_cross = mint.intermediate(case.ROOT, replace(ROOT, subject=UPPER), key=_cross_key)
_cross_leaf = mint.leaf(mint.intermediate(_cross))
_expired = mint.authority(replace(ROOT, not_after=mint.NOON - timedelta(hours=1)), key=_cross_key)
_renewed = mint.authority(key=_cross_key)
_server_signer = mint.intermediate(
    mint.authority(CERT_MANAGER_ROOT),
    replace(INTERMEDIATE, uris=(), dns=("istiod.istio-system.svc",)),
)
_server = mint.leaf(_server_signer, mint.SERVER)

DEPTHS = tuple(of_depth(depth, kind) for depth, kind in product((1, 2, 3, 4), KINDS))

KEY_KINDS = tuple(of_kinds(a, b) for a, b in product(KINDS, KINDS) if a != b)

LEAVES = (
    leaf_case("no-subject-and-critical-san", replace(LEAF, subject=(), san_critical=True), openssl=""),
    leaf_case("dns-sans-besides", replace(LEAF, dns=("reviews", "reviews.default")), openssl=""),
    leaf_case(
        "digital-signature-only",
        replace(LEAF, key_usage=frozenset({"digital_signature"})),
        openssl="",
    ),
    leaf_case("critical-purposes", replace(LEAF, purposes_critical=True), openssl=""),
    leaf_case(
        "a-third-purpose",
        replace(LEAF, purposes=(*(LEAF.purposes or ()), ExtendedKeyUsageOID.CODE_SIGNING)),
        openssl="",
    ),
    leaf_case(
        "no-purposes",
        replace(LEAF, purposes=None),
        warnings=(m.MissingExtendedKeyUsage(position=0),),
        openssl="",
    ),
    leaf_case("no-basic-constraints", replace(LEAF, ca=None), openssl=""),
    leaf_case(
        "basic-constraints-not-critical",
        replace(LEAF, basic_constraints_critical=False),
        openssl="",
    ),
    leaf_case(
        "no-authority-key-id",
        replace(LEAF, authority_key_id=None),
        warnings=(m.MissingAuthorityKeyId(position=0),),
        openssl="",
    ),
    leaf_case("no-subject-key-id", replace(LEAF, subject_key_id=None), openssl=""),
    leaf_case(
        "authority-by-issuer-and-serial",
        replace(
            LEAF,
            authority_key_id=x509.AuthorityKeyIdentifier(
                None,
                [x509.DirectoryName(case.ROOT.cert.subject)],
                case.INTERMEDIATE.cert.serial_number,
            ),
        ),
        openssl="",
    ),
    leaf_case(
        "critical-authority-key-id",
        replace(
            LEAF,
            authority_key_id=None,
            extra=(
                (
                    x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                        x509.SubjectKeyIdentifier.from_public_key(case.INTERMEDIATE.key.public_key())
                    ),
                    True,
                ),
            ),
        ),
        openssl=case.CRITICAL_KEY_ID,
    ),
    leaf_case(
        "unknown-extension-not-critical",
        replace(LEAF, extra=((x509.UnrecognizedExtension(UNKNOWN, b"\x05\x00"), False),)),
        openssl="",
    ),
    leaf_case(
        "id-of-2048-bytes",
        replace(LEAF, uris=(f"spiffe://{'a' * 255}/{'b' * 1783}",)),
        warnings=(m.ForeignSigningCertificate(position=1, found="example.org", expected="a" * 255),),
        openssl="",
    ),
    leaf_case(
        "outlives-its-issuer",
        replace(LEAF, not_after=INTERMEDIATE.not_after + timedelta(seconds=1)),
        warnings=(
            m.OutlivesIssuer(
                position=0,
                not_after=INTERMEDIATE.not_after + timedelta(seconds=1),
                issuer_not_after=INTERMEDIATE.not_after,
            ),
        ),
        openssl="",
    ),
    Case(id="first-second-of-validity", chain=case.LEAF.chain, now=LEAF.not_before),
    Case(
        id="last-second-of-validity",
        chain=case.LEAF.chain,
        now=LEAF.not_after,
        openssl=case.LAST_SECOND,
    ),
)

SIGNERS = (
    signer_case(
        "signer-of-another-trust-domain",
        replace(INTERMEDIATE, uris=("spiffe://example.com",)),
        warnings=(m.ForeignSigningCertificate(position=1, found="example.com", expected="example.org"),),
    ),
    signer_case(
        "signer-without-spiffe-id",
        replace(INTERMEDIATE, uris=()),
        warnings=(NO_SPIFFE_ID(position=1),),
    ),
    signer_case(
        "signer-with-https-uri",
        replace(INTERMEDIATE, uris=("https://example.org/ca",)),
        warnings=(NO_SPIFFE_ID(position=1),),
    ),
    signer_case(
        "signer-without-spiffe-id-and-key-usage-not-critical",
        replace(INTERMEDIATE, uris=(), key_usage_critical=False),
        warnings=(NO_SPIFFE_ID(position=1), m.CaKeyUsageNotCritical(position=1)),
    ),
    signer_case(
        "signer-without-spiffe-id-and-key-usage",
        replace(INTERMEDIATE, uris=(), key_usage=None),
        warnings=(NO_SPIFFE_ID(position=1), m.CaWithoutKeyUsage(position=1)),
    ),
    signer_case(
        "signer-with-the-usage-of-a-leaf",
        replace(INTERMEDIATE, key_usage=frozenset({"digital_signature", "key_cert_sign"})),
        warnings=(m.SigningCertificateLeafUsage(position=1, bits=("digitalSignature",)),),
    ),
    signer_case(
        "signer-for-servers-only",
        replace(INTERMEDIATE, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)),
        warnings=(m.SigningCertificateNarrowsUsage(position=1, missing=("clientAuth",)),),
    ),
    signer_case(
        "signer-for-any-purpose",
        replace(INTERMEDIATE, purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)),
    ),
    signer_case(
        "signer-without-subject-key-id",
        replace(INTERMEDIATE, subject_key_id=None),
        warnings=(m.MissingSubjectKeyId(position=1),),
    ),
    signer_case(
        "signer-basic-constraints-not-critical",
        replace(INTERMEDIATE, basic_constraints_critical=False),
        warnings=(m.BasicConstraintsNotCritical(position=1),),
    ),
    signer_case("path-length-just-enough", replace(INTERMEDIATE, path_length=0)),
    under("self-issued-signer-is-not-counted", rolled_over()),
    under("root-permits-the-trust-domain", mint.intermediate(constrained_root())),
)

AUTHORITIES = (
    Case(id="root-presented-as-well", chain=(*case.LEAF.chain, case.ROOT.cert), depth=3),
    Case(
        id="bundle-in-the-overlap-of-a-rotation",
        chain=case.LEAF.chain,
        bundle=BUNDLE.union(TrustBundle((_new_root.cert,))),
        depth=3,
    ),
    *(
        Case(
            id=f"renewed-root-with-its-key-{order}",
            chain=mint.leaf(mint.intermediate(_renewed)).chain,
            bundle=TrustBundle(roots),
            depth=3,
        )
        for order, roots in (
            ("behind", (_expired.cert, _renewed.cert)),
            ("before", (_renewed.cert, _expired.cert)),
        )
    ),
    Case(id="cross-signed-under-the-old-root", chain=_cross_leaf.chain, depth=4),
    Case(
        id="cross-signed-under-the-new-root",
        chain=_cross_leaf.chain[:-1],
        bundle=TrustBundle((_new_root.cert,)),
        depth=3,
    ),
    Case(
        id="intermediate-as-authority",
        chain=case.LEAF.chain,
        bundle=TrustBundle((case.INTERMEDIATE.cert,)),
        warnings=(m.AuthorityNotSelfSigned(position=1),),
        depth=2,
        openssl=case.SELF_SIGNED_ONLY,
    ),
    Case(
        id="intermediate-and-root-as-authorities",
        chain=case.LEAF.chain,
        bundle=TrustBundle((case.INTERMEDIATE.cert, case.ROOT.cert)),
        depth=3,
    ),
)

PLAIN = (
    Case(
        id="istiod-under-a-signer-without-spiffe-id",
        judge="chain",
        chain=_server.chain,
        bundle=TrustBundle((_server.root,)),
        depth=3,
    ),
    Case(id="workload-as-a-plain-chain", judge="chain", chain=case.LEAF.chain, depth=3),
    Case(id="authority-alone", judge="chain", chain=(case.ROOT.cert,), depth=1),
)

CASES = (*DEPTHS, *KEY_KINDS, *LEAVES, *SIGNERS, *AUTHORITIES, *PLAIN)
