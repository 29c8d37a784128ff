import pytest

from suites.selftest.pki import negative_leaves, negative_paths, negative_signers
from suites.selftest.pki.case import Case

CASES = (*negative_leaves.CASES, *negative_signers.CASES, *negative_paths.CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_chain_is_refused_for_exactly_its_fault(case: Case) -> None:
    """A bad chain gets the exact list of its mismatches and warnings, no more and no less."""
    verdict = case.verdict()
    assert list(verdict.mismatches) == list(case.mismatches)
    assert list(verdict.warnings) == list(case.warnings)
    assert not verdict.valid


def test_there_are_enough_cases_and_each_has_its_own_name() -> None:
    """At least 60 negative chains, none of them named twice."""
    assert len({case.id for case in CASES}) == len(CASES) >= 60
