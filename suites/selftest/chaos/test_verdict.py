"""Journals made by the real Chaos Toolkit: in each of the false passes it is content itself."""

from __future__ import annotations

from typing import Any

import pytest
from chaoslib.experiment import run_experiment  # type: ignore[import-untyped]
from chaoslib.types import Schedule, Strategy  # type: ignore[import-untyped]

from fixtures.chaos import verdict
from suites.selftest.chaos import stand_ins


def activity(kind: str, func: str, **arguments: object) -> dict[str, Any]:
    provider = {"type": "python", "module": stand_ins.__name__, "func": func}
    return {
        "type": kind,
        "name": func,
        "tolerance": True,
        "provider": {**provider, "arguments": arguments},
    }


TOUCH = activity("action", "touch", what=["spire/spire-server-0"])
GOOD = activity("probe", "say", what=True)
BAD = activity("probe", "say", what=False)


def journal(
    *, hypothesis: dict[str, Any], method: list[Any], rollbacks: list[Any] | None = None, **how: Any
) -> dict[str, Any]:
    experiment = {
        "title": "t",
        "description": "d",
        "steady-state-hypothesis": {"title": "h", "probes": [hypothesis]},
        "method": method,
        "rollbacks": rollbacks or [],
    }
    found: dict[str, Any] = run_experiment(experiment, settings={}, **how)
    return found


def content(found: dict[str, Any]) -> bool:
    """Whether `chaos run` would exit with 0."""
    return found["status"] == "completed" and not found["deviated"]


def test_an_experiment_that_held_passes() -> None:
    found = journal(hypothesis=GOOD, method=[TOUCH, GOOD], rollbacks=[TOUCH])
    assert verdict.judge(found) == []


def test_false_pass_1_the_gate_was_not_met_and_nothing_ran() -> None:
    found = journal(hypothesis=BAD, method=[TOUCH])
    assert content(found)
    assert verdict.judge(found) == [
        "steady state before: say: False",
        "steady state after: not looked at",
        "run: 0 of 1 activities ran",
        "run: no action, so no fault",
    ]


def test_false_pass_2_the_action_failed_and_nothing_was_injected() -> None:
    found = journal(hypothesis=GOOD, method=[activity("action", "fail")])
    assert content(found)
    (reason,) = verdict.judge(found)
    assert reason.startswith("run: fail: failed: ")
    assert "PermissionError: forbidden" in reason


def test_false_pass_3_an_outage_in_the_middle() -> None:
    stand_ins.will_answer(True, True, False, True)
    found = journal(
        hypothesis=activity("probe", "answer"),
        method=[{**TOUCH, "pauses": {"after": 0.3}}],
        strategy=Strategy.CONTINUOUS,
        schedule=Schedule(continuous_hypothesis_frequency=0.05),
    )
    assert content(found)
    (reason,) = verdict.judge(found)
    assert reason.startswith("steady state during: 1 of ")
    assert reason.endswith(" missed: answer: False")


def test_a_deviation_fails() -> None:
    stand_ins.will_answer(True, False)
    found = journal(hypothesis=activity("probe", "answer"), method=[TOUCH])
    assert verdict.judge(found) == ["deviated", "steady state after: answer: False"]


@pytest.mark.parametrize(
    "action",
    [
        activity("action", "touch", what=[]),
        activity("action", "keep_silent"),
        activity("action", "say", what=True),
    ],
    ids=["empty-list", "nothing", "no-list"],
)
def test_an_action_that_touched_nothing_fails(action: dict[str, Any]) -> None:
    found = journal(hypothesis=GOOD, method=[action])
    assert content(found)
    (reason,) = verdict.judge(found)
    assert reason.startswith(f"run: {action['name']}: touched nothing: ")


def test_only_a_rollback_may_find_nothing_left_to_heal() -> None:
    idle = activity("action", "touch", what=[])
    assert verdict.judge(journal(hypothesis=GOOD, method=[TOUCH], rollbacks=[idle])) == []
    found = journal(hypothesis=GOOD, method=[idle], rollbacks=[TOUCH])
    assert verdict.judge(found) == ["run: touch: touched nothing: []"]


def test_a_rollback_that_failed_fails() -> None:
    found = journal(hypothesis=GOOD, method=[TOUCH], rollbacks=[activity("action", "fail")])
    (reason,) = verdict.judge(found)
    assert reason.startswith("rollbacks: fail: failed: ")


def test_a_method_without_an_action_fails() -> None:
    found = journal(hypothesis=GOOD, method=[GOOD])
    assert verdict.judge(found) == ["run: no action, so no fault"]


def test_a_probe_of_the_method_that_says_no_fails() -> None:
    found = journal(hypothesis=GOOD, method=[TOUCH, BAD])
    assert verdict.judge(found) == ["run: say: said no"]


@pytest.mark.parametrize("func", ["interrupt", "leave"])
def test_an_interrupted_experiment_fails(func: str) -> None:
    found = journal(hypothesis=GOOD, method=[activity("action", func)])
    assert verdict.judge(found) == [
        "status: interrupted",
        "steady state after: not looked at",
        f"run: {func}: no status: ",
    ]


def test_an_empty_journal_fails() -> None:
    assert verdict.judge({}) != []
