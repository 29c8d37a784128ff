"""What single cases do not show: the arguments of a verdict, and all forms of one extension."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from fixtures.pki import (
    SpiffeId,
    TrustBundle,
    VerificationError,
    judge_chain,
    judge_svid,
    mint,
    verify_svid,
)
from fixtures.pki import mismatch as m
from fixtures.pki.spiffe import SpiffeIdError
from fixtures.pki.svid import MAX_CHAIN
from suites.selftest.pki import negative_signers
from suites.selftest.pki.case import BUNDLE, INTERMEDIATE, LEAF, ROOT

OTHER = SpiffeId.parse("spiffe://example.org/ns/default/sa/ratings")
ROOT_NAME = ROOT.cert.subject
SERIAL = ROOT.cert.serial_number
STRANGER = mint.name([(NameOID.COMMON_NAME, "stranger")])
OURS = f"{ROOT_NAME.rfc4514_string()} serial {SERIAL:x}"


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (
            {"expected": OTHER},
            m.UnexpectedSpiffeId(position=0, found=mint.WORKLOAD, expected=OTHER.raw),
        ),
        (
            {"trust_domain": "example.com"},
            m.ForeignTrustDomain(position=0, found="example.org", expected="example.com"),
        ),
    ],
    ids=["expected", "trust-domain"],
)
def test_whose_svid_it_has_to_be_is_verified(wanted: dict[str, SpiffeId | str], error: m.Mismatch) -> None:
    """By `verify_svid` as by `judge_svid`."""
    assert error in judge_svid(LEAF.chain, BUNDLE, now=mint.NOON, **wanted).mismatches  # type: ignore[arg-type]
    with pytest.raises(VerificationError) as raised:
        verify_svid(LEAF.chain, BUNDLE, now=mint.NOON, **wanted)  # type: ignore[arg-type]
    assert error in raised.value.errors
    found = verify_svid(
        LEAF.chain,
        BUNDLE,
        now=mint.NOON,
        expected=SpiffeId.parse(mint.WORKLOAD),
        trust_domain="example.org",
    )
    assert (found.spiffe_id, found.root) == (SpiffeId.parse(mint.WORKLOAD), ROOT.cert)


def test_an_error_can_be_copied() -> None:
    """As pytest and concurrent.futures do with the errors of another process."""
    error = VerificationError((m.NoUriSan(position=0),))
    assert error.args == (error.errors,)
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert other.errors == error.errors
        assert str(other) == str(error)


@pytest.mark.parametrize(
    ("names", "serial", "found"),
    [
        ([ROOT_NAME], SERIAL, None),
        ([STRANGER, ROOT_NAME], SERIAL, None),
        ([ROOT_NAME], 0, f"{ROOT_NAME.rfc4514_string()} serial 0"),
        ([ROOT_NAME], 77, f"{ROOT_NAME.rfc4514_string()} serial 4d"),
        ([STRANGER], SERIAL, f"CN=stranger serial {SERIAL:x}"),
        ([STRANGER, STRANGER], SERIAL, f"CN=stranger CN=stranger serial {SERIAL:x}"),
    ],
    ids=["right", "one-of-two", "serial-of-nothing", "another-serial", "another-name", "two-other-names"],
)
def test_issuer_and_serial_of_the_authority_key_identifier(
    names: list[x509.Name], serial: int, found: str | None
) -> None:
    identifier = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(name) for name in names], serial)
    leaf = mint.leaf(ROOT, replace(mint.LEAF, authority_key_id=identifier))
    wrong = () if found is None else (m.AuthorityCertSerialMismatch(position=0, found=found, issuer=OURS),)
    assert judge_svid(leaf.chain, BUNDLE, now=mint.NOON).mismatches == wrong


def test_an_issuer_by_another_form_of_name_is_held_against_its_serial_alone() -> None:
    def of(serial: int) -> tuple[m.Mismatch, ...]:
        identifier = x509.AuthorityKeyIdentifier(None, [x509.DNSName("root")], serial)
        leaf = mint.leaf(ROOT, replace(mint.LEAF, authority_key_id=identifier))
        return judge_chain(leaf.chain, TrustBundle((ROOT.cert,)), now=mint.NOON).mismatches

    assert of(SERIAL) == ()
    assert of(1) == (m.AuthorityCertSerialMismatch(position=0, found=" serial 1", issuer=OURS),)


@pytest.mark.parametrize("alone", ["issuer", "serial"])
def test_issuer_or_serial_alone_cannot_be_read(alone: str) -> None:
    """RFC 5280 4.2.1.1: "MUST both be present or both be absent"."""
    both = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(STRANGER)], 77).public_bytes()[2:]
    kept = both[:-3] if alone == "issuer" else both[-3:]
    oid = x509.AuthorityKeyIdentifier.oid
    extra = (x509.UnrecognizedExtension(oid, bytes([0x30, len(kept)]) + kept), False)
    leaf = mint.leaf(ROOT, replace(mint.LEAF, authority_key_id=None, extra=(extra,)))
    (found,) = judge_svid(leaf.chain, BUNDLE, now=mint.NOON).mismatches
    assert isinstance(found, m.UnreadableCertificate)
    assert "must both be present" in found.reason


def test_a_part_with_a_slash_is_refused_in_these_words() -> None:
    with pytest.raises(SpiffeIdError) as raised:
        SpiffeId.for_workload("example.org", "a/b", "c")
    assert str(raised.value) == "a slash would begin another part [SPIFFE-ID 2]: 'a/b'"
    assert (raised.value.raw, raised.value.rule) == ("a/b", "a slash would begin another part [SPIFFE-ID 2]")


def test_a_forger_with_the_name_of_an_authority_is_told_from_a_missing_one() -> None:
    """Whatever stands beside the leaf: it is the authority's name that the leaf claims."""
    rogue = mint.leaf(mint.authority())
    stranger = mint.intermediate(ROOT, replace(mint.INTERMEDIATE, subject=((NameOID.COMMON_NAME, "x"),)))
    verdict = judge_svid((rogue.cert, stranger.cert), BUNDLE, now=mint.NOON)
    assert verdict.mismatches == (m.BadSignature(position=0, issuer_position=2), m.Leftover(position=1))
    assert verdict.path == ()


def test_a_bundle_keeps_what_it_verified_and_nothing_else() -> None:
    """A chain under a stranger could otherwise fill it, or speak for a later one."""
    bundle = TrustBundle((ROOT.cert,))
    stranger = mint.leaf(mint.intermediate(mint.authority()))
    judge_svid(stranger.chain, bundle, now=mint.NOON)
    assert bundle.read(1, stranger.chain[1]) is not bundle.read(1, stranger.chain[1])
    judge_svid(LEAF.chain, bundle, now=mint.NOON)
    assert bundle.read(1, LEAF.chain[1]) is bundle.read(1, LEAF.chain[1])
    assert bundle.read(1, LEAF.chain[1]).cert == LEAF.chain[1]
    # Elsewhere in a chain it is read anew, and so is a leaf.
    assert bundle.read(2, LEAF.chain[1]).position == 2
    assert bundle.read(0, LEAF.cert) is not bundle.read(0, LEAF.cert)
    assert bundle._issuers == {LEAF.chain[1]: (ROOT.cert,)}


def test_issuers_are_kept_only_where_that_is_asked_for_and_there_are_any() -> None:
    bundle = TrustBundle((ROOT.cert,))
    assert bundle.issuers_of(LEAF.chain[1]) == (ROOT.cert,)
    assert bundle.issuers_of(LEAF.cert, remember=True) == ()
    assert bundle._issuers == {}
    assert bundle.issuers_of(LEAF.chain[1], remember=True) == (ROOT.cert,)
    assert bundle._issuers == {LEAF.chain[1]: (ROOT.cert,)}
    assert bundle.issuers_of(LEAF.chain[1], remember=True) == (ROOT.cert,)


def test_a_bundle_does_not_grow_without_end() -> None:
    bundle = TrustBundle((ROOT.cert,))
    key = mint.new_key("p256")
    many = [mint.intermediate(ROOT, key=key).cert for _ in range(66)]
    for cert in many:
        assert bundle.issuers_of(cert, remember=True) == (ROOT.cert,)
        signer = bundle.read(1, cert)
        bundle.remember([signer, signer])
    assert len(bundle._issuers) == len(bundle._signers) == len(bundle._recalled) == 64


def test_a_leaf_is_not_remembered() -> None:
    """Thousands of them stand under one authority."""
    bundle = TrustBundle((ROOT.cert,))
    leaf = mint.leaf(ROOT)
    assert judge_svid(leaf.chain, bundle, now=mint.NOON).valid
    assert bundle._issuers == {}
    assert list(bundle._signers) == [(1, ROOT.cert)]


def test_above_the_authority_nothing_is_judged() -> None:
    """An authority of the bundle with the name and key of what stands out of its place."""
    renewed = mint.authority(mint.INTERMEDIATE, key=INTERMEDIATE.key)
    stranger = mint.intermediate(ROOT, replace(mint.INTERMEDIATE, subject=((NameOID.COMMON_NAME, "x"),)))
    chain = (LEAF.cert, stranger.cert, INTERMEDIATE.cert)
    verdict = judge_svid(chain, TrustBundle((renewed.cert,)), now=mint.NOON)
    assert verdict.mismatches == (m.Leftover(position=1), m.Leftover(position=2))
    assert verdict.path == (LEAF.cert, renewed.cert)
    shorter = judge_svid(LEAF.chain, TrustBundle((renewed.cert,)), now=mint.NOON)
    assert (shorter.mismatches, shorter.path) == ((m.Leftover(position=1),), (LEAF.cert, renewed.cert))


def test_a_forged_root_is_told_by_the_name_of_the_true_one() -> None:
    """What stands behind it in the chain does not make it a root that nobody knows."""
    rogue = mint.authority()
    leaf = mint.leaf(rogue)
    stranger = mint.intermediate(ROOT, replace(mint.INTERMEDIATE, subject=((NameOID.COMMON_NAME, "x"),)))
    verdict = judge_svid((leaf.cert, rogue.cert, stranger.cert), BUNDLE, now=mint.NOON)
    assert verdict.mismatches == (m.BadSignature(position=1, issuer_position=3), m.Leftover(position=2))


def test_behind_what_cannot_be_read_everything_is_judged() -> None:
    malformed = replace(mint.LEAF, uris=(), extra=((negative_signers.MALFORMED_SAN, False),))
    late = mint.NOON + timedelta(hours=13)
    verdict = judge_chain(mint.leaf(INTERMEDIATE, malformed).chain, BUNDLE, now=late)
    assert [type(found) for found in verdict.mismatches] == [m.UnreadableCertificate, m.Expired]


def test_an_intermediate_may_be_an_authority_alone() -> None:
    bundle = TrustBundle((INTERMEDIATE.cert,))
    verdict = judge_chain((INTERMEDIATE.cert,), bundle, now=mint.NOON)
    assert (verdict.mismatches, verdict.warnings, verdict.path) == ((), (), (INTERMEDIATE.cert,))


def test_a_root_need_not_name_its_own_key() -> None:
    root = mint.authority(replace(mint.ROOT, authority_key_id=None))
    verdict = judge_svid(mint.leaf(root).chain, TrustBundle((root.cert,)), now=mint.NOON)
    assert (verdict.mismatches, verdict.warnings) == ((), ())


def test_constraints_hold_where_every_certificate_has_some() -> None:
    subtrees = (x509.NameConstraints((x509.UniformResourceIdentifier("example.com"),), None), True)
    root = mint.authority(replace(mint.ROOT, extra=(subtrees,)))
    leaf = mint.leaf(root, replace(mint.LEAF, extra=(subtrees,)))
    verdict = judge_svid(leaf.chain, TrustBundle((root.cert,)), now=mint.NOON)
    assert verdict.mismatches == (m.NameNotPermitted(position=0, found=mint.WORKLOAD, constrained_by=1),)


def test_a_chain_of_the_very_limit_is_judged_whole() -> None:
    signer, key = ROOT, mint.new_key("p256")
    for _ in range(MAX_CHAIN - 1):
        signer = mint.intermediate(signer, key=key)
    verdict = judge_svid(mint.leaf(signer).chain, BUNDLE, now=mint.NOON)
    assert (verdict.mismatches, verdict.depth) == ((), MAX_CHAIN + 1)


def test_a_time_without_a_zone_is_refused_in_these_words() -> None:
    with pytest.raises(ValueError) as raised:
        judge_chain(LEAF.chain, BUNDLE, now=mint.NOON.replace(tzinfo=None))
    assert str(raised.value) == "the time of a verdict needs a time zone"


def test_names_are_escaped_no_more_than_they_must() -> None:
    assert m.one_line("caf\u00e9 \\ \n") == "caf\u00e9 \\ \\n"


def test_several_values_are_told_one_by_one() -> None:
    found = m.ExtraUriSans(position=0, uris=("spiffe://a/b", "spiffe://c/d"))
    assert found.details == {"uris": "spiffe://a/b, spiffe://c/d"}


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        ("x" * 2048, "the scheme must be spiffe, in lower case [SPIFFE-ID 2]"),
        ("x" * 2049, "longer than 2048 bytes [SPIFFE-ID 2.3]"),
        ("\u00e9" * 1025, "longer than 2048 bytes [SPIFFE-ID 2.3]"),
        (f"spiffe://{'a' * 255}/", "no trailing slash [SPIFFE-ID 2.2]"),
        (f"spiffe://{'a' * 256}/", "a trust domain longer than 255 bytes [SPIFFE-ID 2.3]"),
    ],
    ids=["2048", "2049", "2050-of-two-bytes-each", "255", "256"],
)
def test_limits_are_the_last_lengths_that_are_right(raw: str, rule: str) -> None:
    with pytest.raises(SpiffeIdError) as raised:
        SpiffeId.parse(raw)
    assert raised.value.rule == rule


@pytest.mark.parametrize(
    ("length", "shown"), [(198, "'" + "x" * 198 + "'"), (199, "'" + "x" * 119 + "... (199 characters)")]
)
def test_a_long_string_is_shown_by_its_beginning(length: int, shown: str) -> None:
    with pytest.raises(SpiffeIdError) as raised:
        SpiffeId.parse("x" * length)
    assert str(raised.value).endswith(f": {shown}")
