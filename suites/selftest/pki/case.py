"""A chain with the exact verdict it must get; the tables of cases are built of these."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from cryptography import x509

from fixtures.pki import Mismatch, SpiffeId, TrustBundle, Verdict, judge_chain, judge_svid, mint

ROOT = mint.authority()
INTERMEDIATE = mint.intermediate(ROOT)
LEAF = mint.leaf(INTERMEDIATE)
BUNDLE = TrustBundle((ROOT.cert,))

# Why `openssl verify` can come to another verdict. A case that gives no reason has to agree.
SPIFFE = "OpenSSL knows nothing of the X509-SVID clauses"
ORDER = "OpenSSL takes what was presented as a heap and looks for any path"
FOLDED_NAMES = "OpenSSL compares names without regard to case, RFC 5280 7.1; SPIRE compares bytes"
SELF_SIGNED_ONLY = "without -partial_chain OpenSSL takes only self-signed anchors"
TRUSTED_LEAF = "for OpenSSL a self-signed leaf in the bundle is its own anchor"
LAST_SECOND = "OpenSSL lets a certificate end at notAfter, RFC 5280 4.1.2.5 one second later"
EMPTY_PURPOSES = "OpenSSL reads an extended key usage without a purpose, which RFC 5280 rules out"
TWICE = "OpenSSL takes the first of two extensions with one OID, RFC 5280 4.2 forbids the second"
OUR_LIMIT = "the limit on the length of a chain is ours"
CRITICAL_KEY_ID = "OpenSSL processes the key identifiers but refuses them where they are critical"
POLICIES = "OpenSSL accepts critical policy constraints without policy checking"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A chain, and everything that must be found of it.

    Attributes:
        id: the deviation, in a few words.
        chain: what is presented, the leaf first.
        bundle: the authorities.
        mismatches: the exact mismatches, in order.
        warnings: the exact warnings, in order.
        now: the time of the verdict.
        expected: whose SVID it has to be.
        trust_domain: whose bundle it is.
        judge: by the rules of SVIDs, or of any chain.
        depth: the length of the verified path; None where it does not matter.
        openssl: why `openssl verify` comes to the opposite verdict; empty where it agrees.
    """

    id: str
    chain: tuple[x509.Certificate, ...]
    bundle: TrustBundle = BUNDLE
    mismatches: tuple[Mismatch, ...] = ()
    warnings: tuple[Mismatch, ...] = ()
    now: datetime = mint.NOON
    expected: SpiffeId | None = None
    trust_domain: str | None = None
    judge: Literal["svid", "chain"] = "svid"
    depth: int | None = field(default=None)
    openssl: str = ""

    def verdict(self) -> Verdict:
        """Judge the chain."""
        if self.judge == "chain":
            return judge_chain(self.chain, self.bundle, now=self.now)
        return judge_svid(
            self.chain,
            self.bundle,
            now=self.now,
            expected=self.expected,
            trust_domain=self.trust_domain,
        )


def leaf_case(
    name: str,
    profile: mint.Profile,
    *mismatches: Mismatch,
    warnings: tuple[Mismatch, ...] = (),
    openssl: str = SPIFFE,
) -> Case:
    """A leaf that deviates, under a good intermediate and a good root."""
    chain = mint.leaf(INTERMEDIATE, profile).chain
    return Case(id=name, chain=chain, mismatches=mismatches, warnings=warnings, openssl=openssl)


def signer_case(
    name: str,
    profile: mint.Profile,
    *mismatches: Mismatch,
    warnings: tuple[Mismatch, ...] = (),
    openssl: str = "",
) -> Case:
    """An intermediate that deviates, with a good leaf and a good root."""
    chain = mint.leaf(mint.intermediate(ROOT, profile)).chain
    return Case(id=name, chain=chain, mismatches=mismatches, warnings=warnings, openssl=openssl)
