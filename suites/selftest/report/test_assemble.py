from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures.report.assemble import assemble, clause_result, profiles_of, verdict_of
from fixtures.report.catalogue import Clause, Level
from fixtures.report.model import ClauseResult, ConformanceReport, KnownGap, Run, Timeline, to_yaml
from fixtures.report.outcomes import Outcome, Phase
from fixtures.report.record import Picture, RunRecord

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def result(
    clause_id: str,
    outcome: Outcome = "pass",
    *,
    level: Level = "core",
    requires: tuple[str, ...] = (),
    message: str | None = None,
) -> ClauseResult:
    return ClauseResult(
        id=clause_id,
        level=level,
        outcome=outcome,
        seconds=1,
        requires=list(requires),
        message=message,
    )


def run(exit_code: int | None = 0, *other_failures: str, healing_failed: tuple[str, ...] = ()) -> Run:
    return Run(
        id="r",
        started=STARTED,
        finished=STARTED,
        seconds=0,
        exit_code=exit_code,
        other_failures=list(other_failures),
        healing_failed=list(healing_failed),
    )


def recorded(names: list[str]) -> ConformanceReport:
    record = RunRecord(Path("reports/some"), STARTED)
    for name in names:
        record.expect(f"t.py::{name}", Clause(name, "core", frozenset("ba"), "Claim.", ""))
        for when in ("setup", "call", "teardown"):
            record.observe(name, f"t.py::{name}", Phase(when, "passed", seconds=0.25))
        record.measure(f"setUpSeconds.{name}", 1.5)
        record.stack[name] = "1.0"
    return assemble(record, version="0", finished=STARTED + timedelta(seconds=9), exit_code=0)


def test_all_core_passed_ships() -> None:
    clauses = [result("identity/a"), result("trust/b")]
    assert verdict_of(clauses, run()) == ("ship", "2 core clauses passed")


def test_a_failed_core_clause_never_ships() -> None:
    clauses = [result("identity/a"), result("trust/b", "fail")]
    assert verdict_of(clauses, run(1)) == ("do-not-ship", "1 clause failed: trust/b")


@pytest.mark.parametrize("outcome", ["unknown", "skipped", "not-supported"])
def test_an_unproven_core_clause_leaves_the_verdict_open(outcome: Outcome) -> None:
    clauses = [result("identity/a"), result("trust/b", outcome)]
    assert verdict_of(clauses, run()) == ("unknown", "1 core clause unproven: trust/b")


@pytest.mark.parametrize(
    ("clauses", "reason"),
    [
        pytest.param([], "no core clause was run", id="empty"),
        pytest.param([result("chaos/a", level="extended")], "no core clause was run", id="no-core"),
        pytest.param([result("trust/a", "known-gap")], "no core clause passed", id="only-gaps"),
    ],
)
def test_a_run_that_proved_nothing_never_ships(clauses: list[ClauseResult], reason: str) -> None:
    assert verdict_of(clauses, run()) == ("unknown", reason)


@pytest.mark.parametrize("exit_code", [None, 2, 3, 4, 5, 137])
def test_a_run_that_ended_early_never_ships(exit_code: int | None) -> None:
    verdict, reason = verdict_of([result("identity/a")], run(exit_code))
    assert (verdict, reason) == ("unknown", f"the run ended early (exit code {exit_code})")


def test_a_failed_test_without_a_clause_leaves_the_verdict_open() -> None:
    verdict, reason = verdict_of([result("identity/a")], run(1, "t.py::test_stray"))
    assert verdict == "unknown"
    assert reason == "a test that proves no clause failed: t.py::test_stray"


def test_a_fault_that_was_not_healed_leaves_the_verdict_open() -> None:
    unhealed = run(healing_failed=("chaos/a: paused", "chaos/b: paused"))
    assert verdict_of([result("identity/a")], unhealed) == (
        "unknown",
        "healing failed: chaos/a: paused and 1 more",
    )
    assert verdict_of([result("identity/a", "fail")], unhealed)[0] == "do-not-ship"


@pytest.mark.parametrize(
    ("expires", "ships"), [("2026-01-02", True), ("2026-01-01", False), ("2026-02-31", False)]
)
@pytest.mark.parametrize("level", ["core", "extended"])
def test_an_expired_gap_never_ships(level: Level, expires: str, ships: bool) -> None:
    gap = result("trust/b", "known-gap", level=level, message=f"upstream, expires {expires}")
    verdict, reason = verdict_of([result("identity/a"), gap], run())
    assert (verdict == "ship") is ships
    assert ships or (verdict, reason) == ("unknown", "1 known gap expired: trust/b")


def test_known_gaps_are_in_the_reason_to_ship() -> None:
    clauses = [result("identity/a"), result("trust/b", "known-gap")]
    assert verdict_of(clauses, run()) == ("ship", "1 core clause passed, 1 known gap: trust/b")


def test_a_failed_extended_clause_never_ships() -> None:
    clauses = [result("identity/a"), result("wire/c", "fail", level="extended")]
    assert verdict_of(clauses, run(1)) == ("do-not-ship", "1 clause failed: wire/c")


def test_a_run_without_a_required_profile_never_ships() -> None:
    partial = run().model_copy(update={"required_profiles": ["identity", "chaos"]})
    assert verdict_of([result("identity/a")], partial) == ("unknown", "nothing was run of: chaos")


def test_a_long_list_of_ids_is_cut() -> None:
    clauses = [result(f"trust/c{n}", "fail") for n in range(5)]
    _, reason = verdict_of(clauses, run(1))
    assert reason == "5 clauses failed: trust/c0, trust/c1, trust/c2 and 2 more"


@pytest.mark.parametrize(
    ("clauses", "expected"),
    [
        ([result("wire/a")], "success"),
        ([result("wire/a"), result("wire/b", "not-supported", level="extended")], "success"),
        ([result("wire/a"), result("wire/b", "fail", level="extended")], "failure"),
        ([result("wire/a", "fail"), result("wire/b", "unknown")], "failure"),
        ([result("wire/a"), result("wire/b", "unknown")], "error"),
        ([result("wire/a"), result("wire/b", "skipped")], "partial"),
        ([result("wire/a"), result("wire/b", "not-supported")], "partial"),
        ([result("wire/a"), result("wire/b", "known-gap")], "partial"),
        ([result("wire/a", "not-supported", level="extended")], "partial"),
    ],
)
def test_a_profile_is_as_good_as_its_clauses(clauses: list[ClauseResult], expected: str) -> None:
    assert [profile.result for profile in profiles_of(clauses)] == [expected]


def test_the_counts_of_a_level_add_up() -> None:
    outcomes: list[Outcome] = ["pass", "fail", "unknown", "skipped", "not-supported", "known-gap"]
    clauses = [result(f"wire/{outcome}", outcome) for outcome in outcomes]
    (profile,) = profiles_of(clauses)
    counts = profile.core.statistics.model_dump()
    assert set(counts.values()) == {1}
    assert sum(counts.values()) == len(clauses)
    assert profile.core.failed == ["wire/fail"]
    assert profile.core.skipped == ["wire/skipped"]


def test_features_are_told_apart_by_whether_a_clause_could_use_them() -> None:
    clauses = [
        result("reload/a", "fail", level="extended", requires=("auto-reload",)),
        result("reload/b", "not-supported", level="extended", requires=("multi-root", "spire")),
        result("reload/c", level="extended", requires=("spire",)),
    ]
    (profile,) = profiles_of(clauses)
    assert profile.extended.supported == ["auto-reload", "spire"]
    assert profile.extended.unsupported == ["multi-root"]


def test_a_known_gap_carries_its_link_and_its_expiry() -> None:
    reason = "not refused: https://github.com/istio/istio/issues/55464, expires 2026-06-30"
    (profile,) = profiles_of([result("reload/a", "known-gap", message=reason)])
    assert profile.core.known_gaps == [
        KnownGap(
            id="reload/a",
            reason=reason,
            link="https://github.com/istio/istio/issues/55464",
            expires="2026-06-30",
        )
    ]


def test_the_order_of_a_report_is_that_of_the_catalogue_however_the_run_went() -> None:
    names = ["identity/b", "identity/z", "trust/a", "rotation/c", "chaos/a"]
    shuffled = random.Random(7).sample(names, len(names))
    report = recorded(shuffled)
    assert [clause.id for clause in report.clauses] == names
    assert [profile.name for profile in report.profiles] == [
        "identity",
        "trust",
        "rotation",
        "chaos",
    ]
    assert list(report.stack) == sorted(names)
    assert report == recorded(names)


def test_parameters_and_phases_are_merged_into_one_result() -> None:
    record = RunRecord(Path("reports/some"), STARTED)
    clause = Clause("wire/a", "core", frozenset(), "Claim.", "")
    messages = {"t.py::t[x]": "", "t.py::t[y]": "refused", "t.py::t[z]": "refused, too"}
    for nodeid, message in messages.items():
        record.expect(nodeid, clause)
        record.observe("wire/a", nodeid, Phase("setup", "passed", seconds=300))
        call = Phase("call", "failed" if message else "passed", message, seconds=1.5)
        record.observe("wire/a", nodeid, call)
        record.observe("wire/a", nodeid, Phase("teardown", "passed"))
    report = assemble(record, version="0", finished=STARTED, exit_code=1)
    assert report.clauses == [
        ClauseResult(
            id="wire/a",
            level="core",
            outcome="fail",
            seconds=4.5,
            message="[y] refused (and 1 more)",
        )
    ]


def test_of_several_gaps_of_a_clause_the_one_that_expires_first_speaks() -> None:
    clause = Clause("wire/a", "core", frozenset(), "Claim.", "")
    reasons = {"x": "one", "y": "two, expires 2027-01-01", "z": "three, expires 2026-01-01"}
    runs = {
        f"t.py::t[{name}]": [Phase("call", "skipped", reason, expected=True), Phase("teardown", "passed")]
        for name, reason in reasons.items()
    }
    assert clause_result(clause, runs).message == "[z] three, expires 2026-01-01 (and 2 more)"


def one_run(order: list[str], started: datetime, seconds: float) -> ConformanceReport:
    """Make the report of a run of one stack that came to all there is, in some order of its own."""
    phases = {
        "identity/a": Phase("call", "passed", seconds=seconds),
        "trust/b": Phase("call", "failed", "depth 2", seconds=seconds),
        "wire/c": Phase("call", "skipped", "gap, expires 2027-01-01", expected=True, seconds=seconds),
        "chaos/d": Phase("setup", "skipped", "NOT_SUPPORTED: one node", seconds=seconds),
    }
    record = RunRecord(Path(f"reports/{started:%H%M}"), started)
    for name in order:
        record.expect(f"t.py::{name}", Clause(name, "core", frozenset(order), "Claim.", ""))
        record.observe(name, f"t.py::{name}", phases[name])
        record.observe(name, f"t.py::{name}", Phase("teardown", "passed", seconds=seconds))
        record.stack.update({name: "1.0", "digests": dict.fromkeys(order, "sha256:0")})
        record.measure(f"{name}.seconds", seconds)
        record.other_failures.append(f"t.py::stray_{name}")
        record.healing_failed.append(f"{name}: the node\nstays paused")
    finished = started + timedelta(seconds=99 * seconds)
    return assemble(record, version="0", finished=finished, exit_code=1)


def test_two_runs_of_one_stack_differ_in_times_alone() -> None:
    names = ["identity/a", "trust/b", "wire/c", "chaos/d"]
    one = to_yaml(one_run(names, STARTED, 1.25))
    other = to_yaml(one_run(names[::-1], STARTED + timedelta(hours=5), 2.5))
    times = re.compile(r"^( +(?:id|started|finished|seconds):) .*", re.M)
    assert one != other
    assert times.sub(r"\1", one) == times.sub(r"\1", other)


def test_pictures_are_listed_in_the_order_of_the_run() -> None:
    record = RunRecord(Path("reports/some"), STARTED)
    record.pictures += [Picture("B", "timelines/b.svg"), Picture("A", "timelines/a.svg")]
    report = assemble(record, version="0", finished=STARTED, exit_code=5)
    assert report.timelines == [
        Timeline(title="B", path="timelines/b.svg"),
        Timeline(title="A", path="timelines/a.svg"),
    ]


def test_without_a_picture_the_document_is_as_before_there_were_any() -> None:
    report = assemble(RunRecord(Path("reports/some"), STARTED), version="0", finished=STARTED, exit_code=5)
    assert "timelines" not in to_yaml(report)


def test_what_no_json_can_hold_does_not_cost_the_report() -> None:
    record = RunRecord(Path("reports/some"), STARTED)
    record.stack["kubeconfig"] = Path("some/where")  # type: ignore[assignment]
    report = assemble(record, version="0", finished=STARTED, exit_code=5)
    assert report.stack == {"kubeconfig": "some/where"}
