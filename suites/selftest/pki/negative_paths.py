"""Chains that must be refused for how their certificates hang together."""

from __future__ import annotations

from dataclasses import replace

from fixtures.pki import TrustBundle, mint
from fixtures.pki import mismatch as m
from fixtures.pki.mint import INTERMEDIATE, LEAF, NOON, ROOT, WORKLOAD, Issued
from suites.selftest.pki import case
from suites.selftest.pki.case import BUNDLE, Case
from suites.selftest.pki.negative_leaves import ROOT_NAME, SECOND
from suites.selftest.pki.negative_signers import UPPER

SIGNER_NAME = "O=SPIFFE,C=US"
LEAF_NAME = "O=SPIRE,C=US"

leaf, signer, root = case.LEAF.cert, case.INTERMEDIATE.cert, case.ROOT.cert
upper = mint.intermediate(case.ROOT, replace(INTERMEDIATE, subject=UPPER))
lower = mint.intermediate(upper)
deep = mint.leaf(lower)
stranger = mint.intermediate(case.ROOT, replace(INTERMEDIATE, subject=UPPER))

# A rogue authority with the names of the real one, as an attacker or a botched rotation has it.
rogue = mint.authority()
rogue_signer = mint.intermediate(rogue)
rogue_leaf = mint.leaf(rogue_signer)
other_rogue = mint.authority(replace(ROOT, subject=UPPER))


def forged_leaf(kind: mint.KeyKind) -> Case:
    """A leaf that a key other than the intermediate's signed; both are of one kind."""
    parent = mint.intermediate(case.ROOT, key=mint.new_key(kind))
    forged = mint.leaf(parent, with_key=mint.new_key(kind))
    return Case(
        id=f"leaf-forged-with-{kind}",
        chain=forged.chain,
        mismatches=(m.BadSignature(position=0, issuer_position=1),),
    )


def self_signed_leaf() -> Issued:
    """A workload that vouches for itself."""
    return mint.authority(LEAF)


def ring() -> tuple[Issued, Issued]:
    """Two authorities which signed each other."""
    first = mint.authority(replace(ROOT, subject=UPPER))
    second = mint.intermediate(first)
    closing = mint.sign(
        replace(INTERMEDIATE, subject=UPPER), key=first.key, by=second.cert, with_key=second.key
    )
    return second, replace(first, cert=closing)


def long_chain(length: int) -> Issued:
    """A leaf under so many intermediates that the chain has the given length."""
    parent = case.ROOT
    for _ in range(length - 1):
        parent = mint.intermediate(parent)
    return mint.leaf(parent)


alone = self_signed_leaf()
ring_second, ring_first = ring()
ring_leaf = mint.leaf(ring_second)
long = long_chain(66)
folded = mint.intermediate(
    case.ROOT, replace(INTERMEDIATE, issuer=tuple((oid, v.upper()) for oid, v in ROOT.subject))
)

ABSENT = (
    Case(id="empty-chain", chain=(), mismatches=(m.EmptyChain(),)),
    Case(
        id="empty-bundle",
        chain=case.LEAF.chain,
        bundle=TrustBundle(()),
        mismatches=(m.EmptyBundle(),),
    ),
    Case(
        id="intermediate-missing",
        chain=(leaf,),
        mismatches=(m.NoTrustAnchor(position=0, issuer=SIGNER_NAME),),
    ),
    Case(
        id="upper-intermediate-missing",
        chain=(deep.cert, lower.cert),
        mismatches=(m.NoTrustAnchor(position=1, issuer="CN=upper"),),
    ),
    Case(
        id="lower-intermediate-missing",
        chain=(deep.cert, upper.cert),
        mismatches=(m.NotIssuedByNext(position=0, issuer=SIGNER_NAME, subject="CN=upper"),),
    ),
    Case(
        id="authority-rotated-away",
        chain=case.LEAF.chain,
        bundle=TrustBundle((other_rogue.cert,)),
        mismatches=(m.NoTrustAnchor(position=1, issuer=ROOT_NAME),),
    ),
)

ORDER = (
    Case(
        id="intermediates-swapped",
        chain=(deep.cert, upper.cert, lower.cert),
        mismatches=(m.OutOfOrder(position=2, expected=1),),
        depth=4,
        openssl=case.ORDER,
    ),
    Case(
        id="root-before-intermediate",
        chain=(leaf, root, signer),
        mismatches=(m.OutOfOrder(position=2, expected=1),),
        depth=3,
        openssl=case.ORDER,
    ),
    Case(
        id="leaf-last",
        chain=(signer, leaf),
        mismatches=(
            m.LeafWithoutPath(position=0, uri="spiffe://example.org"),
            m.LeafIsCa(position=0),
            m.NoDigitalSignature(position=0),
            m.LeafKeyCertSign(position=0),
            m.LeafCrlSign(position=0),
            m.Leftover(position=1),
        ),
        warnings=(m.MissingExtendedKeyUsage(position=0),),
        depth=2,
        openssl=case.ORDER,
    ),
    Case(
        id="stranger-behind",
        chain=(leaf, signer, stranger.cert),
        mismatches=(m.Leftover(position=2),),
        depth=3,
        openssl=case.ORDER,
    ),
    Case(
        id="stranger-between",
        chain=(leaf, stranger.cert, signer),
        mismatches=(m.Leftover(position=1), m.OutOfOrder(position=2, expected=1)),
        depth=3,
        openssl=case.ORDER,
    ),
    Case(
        id="leaf-twice",
        chain=(leaf, leaf, signer),
        mismatches=(m.Leftover(position=1), m.OutOfOrder(position=2, expected=1)),
        depth=3,
        openssl=case.ORDER,
    ),
    Case(
        id="intermediate-twice",
        chain=(leaf, signer, signer),
        mismatches=(m.Leftover(position=2),),
        depth=3,
        openssl=case.ORDER,
    ),
    Case(
        id="strange-root-behind",
        chain=(leaf, signer, other_rogue.cert),
        mismatches=(m.Leftover(position=2),),
        depth=3,
        openssl=case.ORDER,
    ),
)

SIGNATURES = (
    forged_leaf("rsa"),
    forged_leaf("p256"),
    forged_leaf("p384"),
    forged_leaf("ed25519"),
    Case(
        id="intermediate-forged",
        chain=mint.leaf(mint.intermediate(case.ROOT, with_key=rogue.key)).chain,
        mismatches=(m.BadSignature(position=1, issuer_position=2),),
    ),
    Case(
        id="leaf-of-a-namesake-intermediate",
        chain=(rogue_leaf.cert, signer),
        mismatches=(m.BadSignature(position=0, issuer_position=1),),
    ),
    Case(
        id="namesake-root-not-presented",
        chain=rogue_leaf.chain,
        mismatches=(m.BadSignature(position=1, issuer_position=2),),
    ),
    Case(
        id="namesake-root-presented",
        chain=(*rogue_leaf.chain, rogue.cert),
        mismatches=(m.UntrustedRoot(position=2),),
    ),
    Case(
        id="both-links-forged",
        chain=mint.leaf(mint.intermediate(case.ROOT, with_key=rogue.key), with_key=rogue.key).chain,
        mismatches=(
            m.BadSignature(position=0, issuer_position=1),
            m.BadSignature(position=1, issuer_position=2),
        ),
    ),
    Case(
        id="self-signed-leaf",
        chain=(alone.cert,),
        mismatches=(m.UntrustedRoot(position=0),),
    ),
    Case(
        id="self-signed-leaf-in-the-bundle",
        chain=(alone.cert,),
        bundle=TrustBundle((alone.cert,)),
        mismatches=(
            m.NotCa(position=1),
            m.NoKeyCertSign(position=1),
            m.SigningCertificateWithPath(position=1, uri=WORKLOAD),
        ),
        warnings=(
            m.SigningCertificateLeafUsage(
                position=1, bits=("digitalSignature", "keyEncipherment", "keyAgreement")
            ),
        ),
        openssl=case.TRUSTED_LEAF,
    ),
    Case(
        id="leaf-in-the-bundle",
        chain=(leaf,),
        bundle=TrustBundle((leaf,)),
        mismatches=(m.NoTrustAnchor(position=0, issuer=SIGNER_NAME),),
    ),
    Case(
        id="authorities-in-a-ring",
        chain=(ring_leaf.cert, ring_second.cert, ring_first.cert),
        mismatches=(m.NoTrustAnchor(position=2, issuer=SIGNER_NAME),),
    ),
    Case(
        id="issuer-name-in-another-case",
        chain=mint.leaf(folded).chain,
        mismatches=(m.NoTrustAnchor(position=1, issuer="O=MESHPROOF,CN=ROOT"),),
        openssl=case.FOLDED_NAMES,
    ),
    Case(
        id="chain-longer-than-the-limit",
        chain=long.chain,
        mismatches=(
            m.ChainTooLong(length=66, limit=64),
            m.NoTrustAnchor(position=63, issuer=SIGNER_NAME),
        ),
        openssl=case.OUR_LIMIT,
    ),
)

SEVERAL = (
    Case(
        id="a-fault-in-every-certificate",
        chain=mint.leaf(
            mint.intermediate(case.ROOT, replace(INTERMEDIATE, not_after=NOON - SECOND)),
            replace(LEAF, uris=(), key_usage_critical=False),
            with_key=rogue.key,
        ).chain,
        now=NOON,
        mismatches=(
            m.BadSignature(position=0, issuer_position=1),
            m.NoUriSan(position=0),
            m.KeyUsageNotCritical(position=0),
            m.Expired(position=1, not_after=NOON - SECOND, now=NOON),
        ),
    ),
    Case(
        id="plain-chain-of-an-expired-signer",
        judge="chain",
        chain=mint.leaf(
            mint.intermediate(case.ROOT, replace(INTERMEDIATE, not_after=NOON - SECOND)),
            mint.SERVER,
        ).chain,
        mismatches=(m.Expired(position=1, not_after=NOON - SECOND, now=NOON),),
        warnings=(m.OutlivesIssuer(position=0, not_after=LEAF.not_after, issuer_not_after=NOON - SECOND),),
    ),
    Case(
        id="plain-chain-with-a-leftover",
        judge="chain",
        chain=(mint.leaf(case.INTERMEDIATE, mint.SERVER).cert, signer, stranger.cert),
        mismatches=(m.Leftover(position=2),),
        openssl=case.ORDER,
    ),
    Case(
        id="plain-chain-under-a-namesake",
        judge="chain",
        chain=mint.leaf(rogue_signer, mint.SERVER).chain,
        bundle=BUNDLE,
        mismatches=(m.BadSignature(position=1, issuer_position=2),),
    ),
)

CASES = (*ABSENT, *ORDER, *SIGNATURES, *SEVERAL)
