"""Whatever bytes arrive: a verdict or the one documented error, soon, and never `valid` by luck.

`MESHPROOF_PROPERTY_CASES` sets how many cases each property tries.
"""

from __future__ import annotations

import gc
import random
import sys
from contextlib import suppress
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from fixtures.pki import (
    TrustBundle,
    UnreadableError,
    Verdict,
    dns_sans,
    fingerprint,
    judge_chain,
    judge_signing_certificate,
    judge_svid,
    load_der_chain,
    load_pem_chain,
    mint,
    public_key_fingerprint,
    serial_hex,
    uri_sans,
)
from fixtures.pki.show import rows
from suites.selftest.pki import case, negative_signers
from suites.selftest.pki.der import resigned
from suites.selftest.pki.properties import CASES, many

# A single leaked verdict has some hundred blocks.
MAX_BLOCKS_LEFT = 2000

# What is mutated: small and large keys, every extension that a rule reads, and odd ones.
_CONSTRAINED = mint.intermediate(
    case.ROOT,
    replace(
        mint.INTERMEDIATE,
        path_length=3,
        purposes=mint.LEAF.purposes,
        extra=(
            (
                x509.NameConstraints(
                    (negative_signers.URI("example.org"), x509.DNSName("svc")),
                    (x509.RFC822Name("example.com"),),
                ),
                True,
            ),
        ),
    ),
)
_SEEDS: tuple[tuple[x509.Certificate, ...], ...] = (
    case.LEAF.chain,
    (*case.LEAF.chain, case.ROOT.cert),
    mint.leaf(_CONSTRAINED, replace(mint.LEAF, dns=("reviews.svc",))).chain,
    mint.leaf(case.INTERMEDIATE, mint.SERVER).chain,
    mint.leaf(mint.intermediate(case.ROOT, key=mint.new_key("ed25519"))).chain,
    mint.leaf(mint.intermediate(case.ROOT, key=mint.new_key("rsa"))).chain,
)
_SIGNED = frozenset(cert.tbs_certificate_bytes for chain in _SEEDS for cert in chain) | {
    case.ROOT.cert.tbs_certificate_bytes
}
_SEED_DER = tuple(mint.der(*chain) for chain in _SEEDS)
_SEED_PEM = tuple(mint.pem(*chain) for chain in _SEEDS)
_LEAF_DER = tuple(mint.der(chain[0]) for chain in _SEEDS)


OTHER_EDITS = ("delete", "insert", "copy", "graft", "cut")


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """One to four edits of a seed: flipped bits, other bytes, cuts, copies, and transplants."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        length = draw(st.sampled_from((1, 1, 1, 2, 4, 16, 64, 512)))
        # Edits that keep the length are more frequent: the others seldom get past the parser.
        edit = draw(st.sampled_from(("flip",) * 4 + ("set",) * 4 + OTHER_EDITS))
        if edit == "flip":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif edit == "set":
            data[at] = draw(st.sampled_from((0, 1, 0x30, 0x7F, 0x80, 0x81, 0x84, 0xA0, 0xFF)))
        elif edit == "delete":
            del data[at : at + length]
        elif edit == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif edit == "copy":
            data[at:at] = data[at : at + length]
        elif edit == "graft":
            donor = draw(st.sampled_from(seeds))
            start = draw(st.integers(0, len(donor) - 1))
            data[at : at + length] = donor[start : start + length]
        else:
            del data[at:]
    return bytes(data)


def judge_everything(chain: tuple[x509.Certificate, ...]) -> tuple[Verdict, ...]:
    """Everything of this package that takes certificates, on certificates of any kind."""
    verdicts = []
    for bundle in (case.BUNDLE, TrustBundle(chain), TrustBundle(())):
        verdicts.append(judge_svid(chain, bundle, now=mint.NOON))
        verdicts.append(judge_chain(chain, bundle, now=mint.NOON))
    for verdict in verdicts:
        assert all(str(found).isprintable() for found in verdict.mismatches + verdict.warnings)
        assert verdict.valid == (not verdict.mismatches)
        positions = [found.position for found in verdict.mismatches]
        assert positions == sorted(positions)
    for row in rows(chain, case.BUNDLE, mint.NOON):
        assert str(row).isprintable()
    for cert in chain:
        judge_signing_certificate(cert, trust_domain="example.org")
        assert len(fingerprint(cert)) == 64
        assert serial_hex(cert)
        for read in (uri_sans, dns_sans, public_key_fingerprint):
            with suppress(UnreadableError):
                read(cert)
    return tuple(verdicts)


def assert_only_signed_content_is_valid(verdicts: tuple[Verdict, ...]) -> None:
    """Under our own root nothing may be believed that an issuer did not sign.

    What stands around the signature is not signed: a count of unused bits other than 0 in
    front of a signature that ends in as many zeros leaves it as it was (X.690 11.2.1).
    """
    for verdict in verdicts[:2]:
        if verdict.valid:
            assert {cert.tbs_certificate_bytes for cert in verdict.path} <= _SIGNED


@many
@given(mutated(_SEED_DER))
def test_any_der_gives_a_verdict_or_the_documented_error(der: bytes) -> None:
    """Edited DER never crashes, never hangs, and never becomes valid."""
    try:
        chain = load_der_chain(der)
    except UnreadableError:
        return
    assert_only_signed_content_is_valid(judge_everything(chain))


@many
@given(mutated(_SEED_PEM))
def test_any_pem_gives_a_verdict_or_the_documented_error(pem: bytes) -> None:
    """Edited PEM never crashes, never hangs, and never becomes valid."""
    try:
        chain = load_pem_chain(pem)
    except UnreadableError:
        return
    assert_only_signed_content_is_valid(judge_everything(chain))


@many
@given(mutated(_LEAF_DER))
def test_any_signed_content_gives_a_verdict(der: bytes) -> None:
    """An edited certificate that its issuer did sign reaches the rules behind the signature."""
    try:
        (cert, *_) = load_der_chain(der)
        signed = load_der_chain(resigned(cert, case.INTERMEDIATE.key))
    except (UnreadableError, ValueError):
        return
    judge_everything((*signed, case.INTERMEDIATE.cert))


@many
@given(st.binary(max_size=4096))
def test_any_bytes_give_the_documented_error(data: bytes) -> None:
    """Bytes that never were a certificate are unreadable, in both forms."""
    for load in (load_der_chain, load_pem_chain):
        with pytest.raises(UnreadableError):
            load(data)


def test_namesakes_do_not_explode() -> None:
    """The longest chain that is judged, all of one name and none signed by another: still soon."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(65)]
    root = mint.authority(mint.INTERMEDIATE, key=keys[0])
    chain = tuple(
        mint.sign(mint.INTERMEDIATE, key=key, by=root.cert, with_key=keys[index])
        for index, key in enumerate(keys)
    )
    verdict = judge_svid(chain[::-1], TrustBundle((root.cert,)), now=mint.NOON)
    assert not verdict.valid


def test_memory_does_not_grow() -> None:
    """Verdicts leave nothing behind; without hypothesis, which remembers what it has tried."""
    source = random.Random(2030)

    def judge_some(count: int) -> int:
        for _ in range(count):
            data = bytearray(source.choice(_SEED_DER))
            for _ in range(source.randint(1, 4)):
                data[source.randrange(len(data))] = source.randrange(256)
            with suppress(UnreadableError):
                judge_everything(load_der_chain(bytes(data)))
        gc.collect()
        return sys.getallocatedblocks()

    # The first cases fill caches of the interpreter and the memory of the bundle.
    before = judge_some(CASES // 3)
    assert judge_some(CASES) - before < MAX_BLOCKS_LEFT
