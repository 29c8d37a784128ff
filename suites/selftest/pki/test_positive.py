import pytest

from fixtures.pki import verify_svid
from suites.selftest.pki.case import Case
from suites.selftest.pki.positive import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_chain_is_accepted_with_exactly_its_warnings(case: Case) -> None:
    """A good chain is valid, whatever recommendations it does not follow."""
    verdict = case.verdict()
    assert list(verdict.mismatches) == []
    assert list(verdict.warnings) == list(case.warnings)
    assert verdict.valid
    assert verdict.path[0] == case.chain[0]
    assert verdict.root in case.bundle
    if case.depth is not None:
        assert verdict.depth == case.depth


def test_verify_gives_the_verdict_of_judge() -> None:
    """`verify_svid` returns what `judge_svid` does where it has no reason to raise."""
    case = CASES[0]
    assert verify_svid(case.chain, case.bundle, now=case.now) == case.verdict()
