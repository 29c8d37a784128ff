from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509

from fixtures.pki import Mismatch, TrustBundle, VerificationError, mint, verify_svid
from fixtures.pki import mismatch as m
from suites.selftest.pki import negative_leaves, negative_paths, negative_signers, positive, test_document
from suites.selftest.pki.case import BUNDLE, LEAF, ROOT

NEGATIVE = (*negative_leaves.CASES, *negative_signers.CASES, *negative_paths.CASES)


def test_no_rule_is_without_a_chain_that_breaks_it() -> None:
    """Every class is expected by a case: mismatches by a bad chain, warnings by a good one."""
    rules = set(Mismatch.__subclasses__())
    refused = {type(found) for case in NEGATIVE for found in case.mismatches}
    refused |= {type(found) for case in test_document.CASES.values() for found in case.mismatches}
    warned = {type(found) for case in positive.CASES for found in case.warnings}
    assert refused == {rule for rule in rules if not rule.warning}
    assert warned == {rule for rule in rules if rule.warning}


@pytest.mark.parametrize("rule", Mismatch.__subclasses__(), ids=lambda rule: rule.__name__)
def test_every_rule_names_where_it_comes_from(rule: type[Mismatch]) -> None:
    """A rule has a source, a text, and a docstring for people."""
    assert rule.source
    assert rule.text
    assert (rule.__doc__ or "").endswith(".")


def test_line_holds_position_name_finding_and_clause() -> None:
    """A mismatch reads as one line."""
    nameless = mint.leaf(ROOT, replace(mint.LEAF, uris=())).cert
    assert str(m.NoUriSan(position=0, certificate=nameless)) == (
        "certificate 0 (O=SPIRE,C=US): has no URI SAN"
        ' [X509-SVID 2: "An X.509 SVID MUST contain exactly one URI SAN"]'
    )


def test_line_of_the_whole_chain_names_no_certificate() -> None:
    """Position -1 is the chain."""
    assert str(m.ChainTooLong(length=9, limit=8)) == (
        "chain: 9 certificates, more than the 8 which are judged [this verifier's limit]"
    )


def test_times_are_shown_in_utc() -> None:
    """A message shows RFC 3339 in UTC, whatever zone the caller's clock is in."""
    east = timezone(timedelta(hours=2))
    found = m.Expired(
        position=0,
        not_after=datetime(2030, 1, 1, tzinfo=UTC),
        now=datetime(2030, 1, 1, 3, tzinfo=east),
    )
    assert found.message == "expired at 2030-01-01T00:00:00Z, the time is 2030-01-01T01:00:00Z"


def test_hostile_names_stay_on_one_line() -> None:
    """Control characters of a certificate's names are escaped."""
    hostile = ((x509.NameOID.COMMON_NAME, "a\nvalid: yes\x1b[2J\u202e"),)
    cert = mint.leaf(ROOT, replace(mint.LEAF, uris=(), subject=hostile)).cert
    line = str(m.NoUriSan(position=0, certificate=cert))
    assert "(CN=a\\nvalid: yes\\x1b[2J\\u202e)" in line
    assert line.isprintable()


def test_certificate_takes_no_part_in_equality() -> None:
    """A test states position and finding, not the certificate they are about."""
    found: Mismatch = m.NoUriSan(position=0, certificate=LEAF.cert)
    assert found == m.NoUriSan(position=0)
    others: list[Mismatch] = [m.NoUriSan(position=1), m.MissingKeyUsage(position=0)]
    assert found not in others


def test_error_carries_every_mismatch() -> None:
    """`verify_svid` raises once, with all of them, a line for each."""
    rogue = mint.authority()
    late = mint.NOON + timedelta(days=365)
    with pytest.raises(VerificationError) as raised:
        verify_svid(LEAF.chain, TrustBundle((rogue.cert,)), now=late)
    assert [type(e).__name__ for e in raised.value.errors] == [
        "Expired",
        "BadSignature",
        "Expired",
    ]
    assert str(raised.value).splitlines() == [str(e) for e in raised.value.errors]


def test_time_without_zone_is_refused() -> None:
    """A naive time is an error of the caller, not a verdict."""
    with pytest.raises(ValueError, match="time zone"):
        verify_svid(LEAF.chain, BUNDLE, now=datetime(2030, 1, 1))
