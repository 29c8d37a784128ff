from __future__ import annotations

import itertools
from typing import Literal

import pytest

from fixtures.report.outcomes import OUTCOMES, Judgement, Outcome, Phase, judge_run, worst

SETUP = Phase("setup", "passed")
CALL = Phase("call", "passed")
TEARDOWN = Phase("teardown", "passed")


def test_all_phases_passed_is_a_pass() -> None:
    assert judge_run([SETUP, CALL, TEARDOWN]) == Judgement("pass")


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        pytest.param(
            [SETUP, Phase("call", "failed", "two SANs"), TEARDOWN],
            Judgement("fail", "two SANs"),
            id="product-failed",
        ),
        pytest.param(
            [Phase("setup", "failed", "no cluster"), TEARDOWN],
            Judgement("unknown", "no cluster"),
            id="setup-error-is-unknown",
        ),
        pytest.param(
            [SETUP, CALL, Phase("teardown", "failed", "stuck")],
            Judgement("unknown", "stuck"),
            id="teardown-error-spoils-a-pass",
        ),
        pytest.param(
            [SETUP, Phase("call", "failed", "two SANs"), Phase("teardown", "failed", "stuck")],
            Judgement("fail", "two SANs"),
            id="teardown-error-does-not-hide-a-failure",
        ),
        pytest.param(
            [SETUP, Phase("call", "failed", "load sent nothing", conclusive=False), TEARDOWN],
            Judgement("unknown", "load sent nothing"),
            id="nothing-observed-in-the-body",
        ),
        pytest.param(
            [SETUP, Phase("call", "skipped", "empty", expected=True, conclusive=False), TEARDOWN],
            Judgement("unknown", "empty"),
            id="nothing-observed-is-no-known-gap",
        ),
        pytest.param(
            [SETUP, Phase("call", "skipped", "issue 1", expected=True), TEARDOWN],
            Judgement("known-gap", "issue 1"),
            id="expected-failure",
        ),
        pytest.param(
            [SETUP, Phase("call", "failed", "[XPASS(strict)] issue 1"), TEARDOWN],
            Judgement("fail", "[XPASS(strict)] issue 1"),
            id="unexpected-pass",
        ),
        pytest.param(
            [Phase("setup", "skipped", "NOT_SUPPORTED: no multi-root"), TEARDOWN],
            Judgement("not-supported", "NOT_SUPPORTED: no multi-root"),
            id="feature-missing",
        ),
        pytest.param(
            [SETUP, Phase("call", "skipped", "by hand"), TEARDOWN],
            Judgement("skipped", "by hand"),
            id="a-person-asked",
        ),
        pytest.param([], Judgement("unknown", "not run: the session ended before it"), id="never-run"),
        pytest.param(
            [SETUP, CALL],
            Judgement("unknown", "not finished: the session ended in the middle of it"),
            id="cut-short",
        ),
        pytest.param([SETUP, TEARDOWN], Judgement("unknown", "nothing was observed"), id="no-call"),
    ],
)
def test_a_run_is_judged_by_its_phases(phases: list[Phase], expected: Judgement) -> None:
    assert judge_run(phases) == expected


@pytest.mark.parametrize(
    ("over", "under"),
    [
        ("fail", "unknown"),
        ("unknown", "skipped"),
        ("skipped", "known-gap"),
        ("known-gap", "pass"),
        ("pass", "not-supported"),
    ],
)
def test_the_worst_wins_in_any_order(over: Outcome, under: Outcome) -> None:
    pair = [Judgement(over), Judgement(under)]
    assert [worst(pair), worst(pair[::-1])] == [Judgement(over)] * 2


def test_no_merge_invents_an_outcome() -> None:
    for a, b in itertools.product(OUTCOMES, repeat=2):
        assert worst([Judgement(a), Judgement(b)]).outcome in (a, b)


def test_nothing_observed_is_unknown() -> None:
    assert worst([]).outcome == "unknown"


def test_the_first_reason_of_a_kind_is_kept() -> None:
    judgements = [Judgement("pass"), Judgement("fail", "first"), Judgement("fail", "second")]
    assert worst(judgements).message == "first"


@pytest.mark.parametrize("when", ["setup", "teardown"])
def test_a_broken_fixture_is_never_the_product_s_failure(
    when: Literal["setup", "teardown"],
) -> None:
    phases = [SETUP, CALL, TEARDOWN]
    broken = [Phase(p.when, "failed") if p.when == when else p for p in phases]
    assert judge_run(broken).outcome == "unknown"
