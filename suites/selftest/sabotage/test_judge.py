from __future__ import annotations

from datetime import date, timedelta

import pytest

from fixtures.report.outcomes import Judgement, Outcome
from fixtures.sabotage.judge import Seen, choose, never_red, sight_faults

NAMES = tuple(f"break-{number}" for number in range(43))
TODAY = date(2026, 11, 27)


def seen(**outcomes: Outcome) -> dict[str, Judgement]:
    return {name: Judgement(one, "" if one == "pass" else f"why {one}") for name, one in outcomes.items()}


def test_exactly_the_expected_clauses_red_is_what_is_demanded() -> None:
    assert sight_faults(["a", "b"], seen(a="fail", b="unknown", c="pass", d="known-gap")) == []


@pytest.mark.parametrize("outcome", ["pass", "known-gap", "not-supported", "skipped"])
def test_a_break_that_a_clause_does_not_see_is_a_fault(outcome: Outcome) -> None:
    (fault,) = sight_faults(["a"], seen(a=outcome))

    assert fault.startswith(f"a must turn red and came to {outcome}")


@pytest.mark.parametrize("outcome", ["fail", "unknown", "skipped"])
def test_a_clause_that_has_nothing_to_do_with_it_must_be_green(outcome: Outcome) -> None:
    assert sight_faults(["a"], seen(a="fail", b=outcome)) == [
        f"b came to {outcome} and has nothing to do with it: why {outcome}"
    ]


def test_a_clause_that_was_not_looked_at_has_seen_nothing() -> None:
    assert sight_faults(["a", "b"], seen(a="fail")) == ["b was not looked at"]


def test_after_ten_days_every_break_was_made_once() -> None:
    tenths = [choose("tenth", NAMES, TODAY + timedelta(days=number)) for number in range(10)]

    assert sorted(name for tenth in tenths for name in tenth) == sorted(NAMES)
    assert {len(tenth) for tenth in tenths} == {4, 5}
    assert choose("tenth", NAMES, TODAY + timedelta(days=10)) == tenths[0]


def test_breaks_are_chosen_by_name_in_their_own_order() -> None:
    assert choose("break-7, break-2", NAMES, TODAY) == ("break-2", "break-7")
    assert choose("all", NAMES, TODAY) == NAMES
    assert choose("none", NAMES, TODAY) == ()


@pytest.mark.parametrize(("which", "reason"), [("break-99", "no break-99"), ("", "a break without a name")])
def test_a_break_that_does_not_exist_is_refused_with_those_that_do(which: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"--sabotage: .*there are tenth, all, none, break-0") as refused:
        choose(which, NAMES, TODAY)

    assert reason.removeprefix("a ") in str(refused.value)


def test_a_clause_that_no_break_turned_red_is_named() -> None:
    breaks = [Seen("one", seen(a="fail", b="pass"), 1.0), Seen("two", seen(a="pass", c="unknown"), 2.0)]

    assert never_red(["a", "b", "c", "d"], breaks) == ["b", "d"]
