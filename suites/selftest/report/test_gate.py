"""Every way in which a report that proves nothing, or the contrary, could pass."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import JsonValue, ValidationError

from fixtures.report.__main__ import main
from fixtures.report.assemble import profiles_of, verdict_of
from fixtures.report.catalogue import LEVELS, order
from fixtures.report.gate import Policy, Reason, exit_code, flaky, judge, load_document
from fixtures.report.model import ClauseResult, ConformanceReport, Run, Suite, to_yaml
from fixtures.report.outcomes import OUTCOMES

ROOT = Path(__file__).parents[3]
POLICY_FILE = ROOT / "manifests" / "gate.yaml"
# Read from the README, whose table is the catalogue's: see test_readme.py.
ROW = re.compile(r"^\| `([a-z]+/[a-z0-9-]+)` \| (core|extended) \|", re.M)

STARTED = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOW = STARTED + timedelta(hours=3)
POLICY: dict[str, Any] = {
    "apiVersion": "meshproof.io/v1alpha1",
    "kind": "GatePolicy",
    "profiles": ["identity", "trust"],
    "corePassed": 3,
    "stack": {"istio": "1.31", "kubernetes": "v1.34*", "pace": "fast", "images": "any"},
    "maxAge": "48h",
    "knownGaps": [{"id": "trust/gap", "link": "https://example.org/1", "expires": "2026-06-30"}],
    "measurements": {"traffic.lost": {"min": 0, "max": 0}, "traffic.requests": {"min": 1000}},
}
GAP = "upstream: https://example.org/1"
CLAUSES = [
    ClauseResult(id="identity/a", level="core", outcome="pass", seconds=1),
    ClauseResult(id="identity/b", level="core", outcome="pass", seconds=1),
    ClauseResult(id="trust/c", level="core", outcome="pass", seconds=1),
    ClauseResult(id="trust/gap", level="core", outcome="known-gap", seconds=1, message=GAP),
    ClauseResult(id="wire/d", level="extended", outcome="pass", seconds=1, requires=["spire"]),
]

Document = dict[str, Any]
Change = Callable[[Document], object]


def made(clauses: list[ClauseResult], run: Run | None = None, **fields: Any) -> ConformanceReport:
    """Make a report that agrees with itself."""
    run = run or ran()
    verdict, reason = verdict_of(clauses, run)
    return ConformanceReport(
        verdict=verdict,
        reason=reason,
        suite=Suite(version="0.1.0", commit="c", reproduce="tox"),
        run=run,
        stack=fields.get(
            "stack", {"istio": "1.31", "kubernetes": "v1.34.4", "pace": "fast", "images": "build"}
        ),
        profiles=profiles_of(clauses),
        clauses=clauses,
        measurements=fields.get("measurements", {"traffic": {"lost": 0, "requests": 5000}}),
    )


def ran(started: datetime = STARTED, exit_code: int | None = 0, *other_failures: str) -> Run:
    finished = started + timedelta(minutes=10)
    return Run(
        id="r",
        started=started,
        finished=finished,
        seconds=600,
        exit_code=exit_code,
        other_failures=list(other_failures),
        required_profiles=["identity"],
    )


def with_outcome(clause_id: str, outcome: str, message: str | None = "why") -> list[ClauseResult]:
    change = {"outcome": outcome, "message": message}
    return [c.model_copy(update=change) if c.id == clause_id else c for c in CLAUSES]


def without(clause_id: str) -> list[ClauseResult]:
    return [clause for clause in CLAUSES if clause.id != clause_id]


def policy(**changes: Any) -> Policy:
    return Policy.model_validate({**copy.deepcopy(POLICY), **changes})


def refused(report: ConformanceReport, now: datetime = NOW, **changes: Any) -> list[tuple[str, str]]:
    """Give rule and subject of each reason."""
    return [(reason.rule, reason.subject) for reason in judge(report, policy(**changes), now=now)]


def test_a_report_that_shows_all_the_policy_asks_for_is_conformant() -> None:
    reasons = judge(
        made(CLAUSES), policy(), now=NOW, baseline=made(CLAUSES, ran(STARTED - timedelta(days=9)))
    )
    assert reasons == []
    assert exit_code(reasons) == 0


# What a report shows, honestly.


def test_an_empty_report_is_refused_for_all_it_lacks() -> None:
    assert refused(made([], stack={}, measurements={})) == [
        ("profile", "identity"),
        ("profile", "trust"),
        ("too-few", "core clauses"),
        ("too-few", "clauses"),
        ("stack", "istio"),
        ("stack", "kubernetes"),
        ("stack", "pace"),
        ("stack", "images"),
        ("measurement", "traffic.lost"),
        ("measurement", "traffic.requests"),
    ]


@pytest.mark.parametrize("level", ["core", "extended"])
def test_a_failed_clause_is_refused(level: str) -> None:
    clause_id = {"core": "identity/a", "extended": "wire/d"}[level]
    found = refused(made(with_outcome(clause_id, "fail"), ran(STARTED, 1)), corePassed=1)
    assert found == [("failed", clause_id)]


@pytest.mark.parametrize("outcome", ["unknown", "skipped", "not-supported"])
def test_an_unproven_core_clause_is_refused(outcome: str) -> None:
    assert refused(made(with_outcome("identity/a", outcome)), corePassed=1) == [("unproven", "identity/a")]


@pytest.mark.parametrize(
    ("outcome", "passes"), [("unknown", False), ("skipped", False), ("not-supported", True)]
)
def test_an_extended_clause_may_only_lack_its_feature(outcome: str, passes: bool) -> None:
    assert refused(made(with_outcome("wire/d", outcome))) == ([] if passes else [("unproven", "wire/d")])


@pytest.mark.parametrize("before", list(itertools.product(OUTCOMES, LEVELS, (0, 1, 2, None))))
def test_what_the_report_itself_would_not_ship_is_never_conformant(
    before: tuple[Any, Any, int | None],
) -> None:
    outcome, level, code = before
    changed = ClauseResult(id="trust/z", level=level, outcome=outcome, seconds=1, message="why")
    if outcome == "pass":
        changed = changed.model_copy(update={"message": None})
    report = made([*CLAUSES, changed], ran(STARTED, code))
    if report.verdict != "ship":
        assert exit_code(judge(report, policy(), now=NOW)) != 0


def test_a_profile_of_gaps_alone_is_refused() -> None:
    gaps = with_outcome("trust/c", "known-gap")
    allowed = [*POLICY["knownGaps"], {"id": "trust/c", "reason": "so", "expires": "2026-06-30"}]
    assert refused(made(gaps), corePassed=1, knownGaps=allowed) == [("profile", "trust")]


def test_a_profile_that_only_the_policy_asks_for_is_missed() -> None:
    assert refused(made(CLAUSES), profiles=["identity", "chaos"]) == [("profile", "chaos")]


def test_a_profile_that_only_the_run_asks_for_is_missed() -> None:
    run = ran().model_copy(update={"required_profiles": ["identity", "reload"]})
    assert refused(made(CLAUSES, run)) == [("profile", "reload")]


def test_extended_clauses_make_no_profile() -> None:
    assert refused(made(CLAUSES), profiles=["wire"]) == [("profile", "wire")]


def test_too_few_core_clauses() -> None:
    assert refused(made(without("identity/b"))) == [("too-few", "core clauses")]


def test_extended_clauses_that_nobody_collected_are_missed() -> None:
    """A file of extended clauses alone could be left out, and no core clause would be missing."""
    assert refused(made(without("wire/d")), clauses=5) == [("too-few", "clauses")]
    assert refused(made(CLAUSES), clauses=5) == []


def test_a_report_of_another_commit_of_the_suite_is_refused() -> None:
    reasons = judge(made(CLAUSES), policy(), now=NOW, commit="another")
    assert [(reason.rule, reason.subject) for reason in reasons] == [("suite", "commit")]
    assert judge(made(CLAUSES), policy(), now=NOW, commit="c") == []


def test_a_failed_test_without_a_clause_is_refused() -> None:
    assert refused(made(CLAUSES, ran(STARTED, 1, "t.py::t"))) == [("other-failure", "t.py::t")]


def test_a_gap_that_the_policy_does_not_list_is_refused() -> None:
    assert refused(made(CLAUSES), knownGaps=[]) == [("known-gap", "trust/gap")]
    assert refused(made(with_outcome("wire/d", "known-gap"))) == [("known-gap", "wire/d")]


@pytest.mark.parametrize(
    ("now", "passes"),
    [
        ("2026-06-30T23:59:59+00:00", True),
        ("2026-07-01T00:00:00+00:00", False),
        ("2026-07-01T01:00:00+02:00", True),
        ("2026-06-30T23:00:00-02:00", False),
    ],
)
def test_a_gap_is_allowed_up_to_its_last_day(now: str, passes: bool) -> None:
    found = refused(made(CLAUSES), datetime.fromisoformat(now), maxAge="90d")
    assert found == ([] if passes else [("known-gap", "trust/gap")])


def test_a_gap_expires_also_by_its_own_word() -> None:
    clauses = with_outcome("trust/gap", "known-gap", f"{GAP}, expires 2026-05-31")
    report = made(clauses)
    assert (report.verdict, report.reason) == ("unknown", "1 known gap expired: trust/gap")
    assert refused(report) == [("known-gap", "trust/gap")]


def test_a_gap_that_expired_since_the_run_is_refused() -> None:
    report = made(with_outcome("trust/gap", "known-gap", f"{GAP}, expires 2026-06-01"))
    assert report.verdict == "ship"
    assert refused(report) == []
    assert refused(report, NOW + timedelta(days=1)) == [("known-gap", "trust/gap")]


def test_a_gap_that_ends_on_a_day_that_never_was_is_refused() -> None:
    clauses = with_outcome("trust/gap", "known-gap", f"{GAP}, expires 2026-06-31")
    assert refused(made(clauses)) == [("known-gap", "trust/gap")]


@pytest.mark.parametrize("message", ["upstream", "upstream: https://example.org/12"])
def test_another_gap_of_an_allowed_clause_is_refused(message: str) -> None:
    assert refused(made(with_outcome("trust/gap", "known-gap", message))) == [("known-gap", "trust/gap")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("istio", "1.31.1"),
        ("istio", "1.30"),
        ("istio", 1.31),
        ("kubernetes", "v1.340.1"),
        ("kubernetes", "v1.33.4"),
        ("kubernetes", "1.34.4"),
        ("kubernetes", 1.34),
        ("pace", "reference"),
        ("pace", "Fast"),
        ("images", ""),
        ("images", None),
        ("images", {}),
    ],
)
def test_another_stack_is_refused(name: str, value: JsonValue) -> None:
    stack = {**made(CLAUSES).stack, name: value}
    assert refused(made(CLAUSES, stack=stack)) == [("stack", name)]


@pytest.mark.parametrize("value", ["v1.34", "v1.34.4", "v1.34-rc.1"])
def test_a_star_stands_for_the_rest(value: str) -> None:
    assert refused(made(CLAUSES, stack={**made(CLAUSES).stack, "kubernetes": value})) == []


@pytest.mark.parametrize(
    "now", [STARTED + timedelta(hours=48, minutes=11), STARTED, STARTED - timedelta(days=1)]
)
def test_a_run_of_long_ago_or_of_the_future_is_refused(now: datetime) -> None:
    assert refused(made(CLAUSES), now) == [("stale", "run")]


@pytest.mark.parametrize("now", [STARTED + timedelta(hours=48, minutes=10), STARTED + timedelta(minutes=6)])
def test_a_run_may_be_as_old_as_the_policy_says_and_a_clock_may_be_slow(now: datetime) -> None:
    assert refused(made(CLAUSES), now) == []


@pytest.mark.parametrize(
    "lost", [1, -1, True, False, 10**400, "0", None, [], {}, float("nan"), float("inf"), float("-inf")]
)
def test_a_measurement_beyond_its_bound_or_of_no_number_is_refused(lost: JsonValue) -> None:
    measurements = {"traffic": {"lost": lost, "requests": 5000}}
    assert refused(made(CLAUSES, measurements=measurements)) == [("measurement", "traffic.lost")]


@pytest.mark.parametrize("traffic", [{"requests": 5000}, 0, None])
def test_a_missing_measurement_is_refused(traffic: JsonValue) -> None:
    assert ("measurement", "traffic.lost") in refused(made(CLAUSES, measurements={"traffic": traffic}))


def test_no_loss_of_hardly_any_request_is_refused() -> None:
    measurements: JsonValue = {"traffic": {"lost": 0, "requests": 999}}
    assert refused(made(CLAUSES, measurements=measurements)) == [("measurement", "traffic.requests")]


@pytest.mark.parametrize("code", [None, 2, 3, 4, 5, 7, 137])
def test_a_run_that_ended_early_has_an_exit_code_of_its_own(code: int | None) -> None:
    reasons = judge(made(CLAUSES, ran(STARTED, code)), policy(), now=NOW)
    assert [reason.rule for reason in reasons] == ["ended-early"]
    assert exit_code(reasons) == 3


UNHEALED = "chaos/x: the node stays paused"


@pytest.mark.parametrize("code", [0, 1, 3, None])
def test_a_fault_that_was_not_healed_has_an_exit_code_of_its_own(code: int | None) -> None:
    """Also where everything passed, and where what failed may follow from it."""
    run = ran(STARTED, code).model_copy(update={"healing_failed": [UNHEALED]})
    report = made(CLAUSES, run)
    assert (report.verdict, report.reason) == ("unknown", f"healing failed: {UNHEALED}")
    reasons = judge(report, policy(), now=NOW)
    assert ("healing", UNHEALED) in [(reason.rule, reason.message) for reason in reasons]
    assert {reason.rule for reason in reasons} <= {"healing", "ended-early"}
    assert exit_code(reasons) == 4
    broken = made(with_outcome("trust/c", "fail"), run.model_copy(update={"exit_code": 1}))
    assert broken.verdict == "do-not-ship"
    assert exit_code(judge(broken, policy(), now=NOW)) == 4


def test_a_doctored_report_of_failed_healing_is_not_conformant() -> None:
    run = ran().model_copy(update={"healing_failed": [UNHEALED]})
    report = made(CLAUSES, run).model_copy(update={"verdict": "ship"})
    assert exit_code(judge(report, policy(), now=NOW)) == 1


def test_a_failure_tells_more_than_an_early_end() -> None:
    assert exit_code(judge(made(with_outcome("trust/c", "fail"), ran(STARTED, 2)), policy(), now=NOW)) == 1


# What a report makes of itself.

DOCTORED: dict[str, tuple[Change, str]] = {
    "verdict": (lambda d: d.update(verdict="unknown"), "verdict"),
    "reason": (lambda d: d.update(reason="99 core clauses passed"), "verdict"),
    "a clause twice": (lambda d: d["clauses"].append(d["clauses"][0]), "identity/a"),
    "the same clause as another outcome": (
        lambda d: d["clauses"].append({**d["clauses"][3], "outcome": "pass"}),
        "trust/gap",
    ),
    "a clause of no profile": (lambda d: d["clauses"].append({**d["clauses"][0], "id": "x/y"}), "x/y"),
    "a profile without a clause": (lambda d: d["clauses"][0].update(id="identity"), "identity"),
    "a pass that still has its reason": (
        lambda d: d["clauses"][3].update(outcome="pass"),
        "trust/gap",
    ),
    "a clause taken out": (lambda d: d["clauses"].pop(0), "identity"),
    "a clause put in": (lambda d: d["clauses"].append({**d["clauses"][0], "id": "trust/new"}), "trust"),
    "a level": (lambda d: d["clauses"][0].update(level="extended"), "identity"),
    "statistics": (lambda d: d["profiles"][0]["core"]["statistics"].update(passed=3), "identity"),
    "a result": (lambda d: d["profiles"][1].update(result="success"), "trust"),
    "a gap's expiry": (
        lambda d: d["profiles"][1]["core"]["knownGaps"][0].update(expires="2099-01-01"),
        "trust",
    ),
    "a profile taken out": (lambda d: d["profiles"].pop(), "profiles"),
    "a profile twice": (lambda d: d["profiles"].append(d["profiles"][0]), "profiles"),
    "no profiles": (lambda d: d.update(profiles=[]), "profiles"),
    "features": (lambda d: d["profiles"][2]["extended"].update(supported=["all"]), "wire"),
    "a later end": (lambda d: d["run"].update(finished="2026-06-01T13:10:00Z"), "run"),
    "an end before the start": (lambda d: d["run"].update(started="2026-06-01T12:20:00Z"), "run"),
    "exit code 1 without a failure": (lambda d: d["run"].update(exitCode=1), "run"),
    "exit code 0 with a failure": (lambda d: d["run"].update(otherFailures=["t.py::t"]), "run"),
}


@pytest.mark.parametrize("name", DOCTORED)
def test_a_report_that_contradicts_itself_is_refused(name: str) -> None:
    change, subject = DOCTORED[name]
    document = made(CLAUSES).model_dump(mode="json", by_alias=True)
    change(document)
    reasons = judge(ConformanceReport.model_validate(document), policy(corePassed=1), now=NOW)
    assert ("doctored", subject) in [(reason.rule, reason.subject) for reason in reasons]
    assert exit_code(reasons) == 1


def test_a_failed_clause_is_seen_whatever_the_verdict_says() -> None:
    failed = made(with_outcome("trust/c", "fail"), ran(STARTED, 1))
    claims = {"verdict": "ship", "reason": "3 core clauses passed", "profiles": made(CLAUSES).profiles}
    report = failed.model_copy(update=claims)
    found = refused(report, corePassed=1)
    assert found[:2] == [("doctored", "verdict"), ("doctored", "trust")]
    assert ("failed", "trust/c") in found


def test_a_doctored_report_of_an_early_end_is_not_conformant() -> None:
    report = made(CLAUSES, ran(STARTED, 2)).model_copy(update={"verdict": "ship"})
    assert exit_code(judge(report, policy(), now=NOW)) == 1


def test_a_reason_is_one_line_and_moves_no_cursor() -> None:
    assert str(Reason("failed", "a/b", "one\n two\x1b[2K\rthree")) == "failed: a/b: one two [2K three"


# Against a baseline.


def regressed(clauses: list[ClauseResult], before: list[ClauseResult] | None = None) -> list[tuple[str, str]]:
    old = made(CLAUSES if before is None else before, ran(STARTED - timedelta(days=1)))
    reasons = judge(made(clauses), policy(corePassed=1), now=NOW, baseline=old)
    return [(reason.rule, reason.subject) for reason in reasons]


@pytest.mark.parametrize("clause_id", [clause.id for clause in CLAUSES])
def test_a_clause_that_is_missing_now_is_a_regression(clause_id: str) -> None:
    assert ("regression", clause_id) in regressed(without(clause_id))


def test_a_feature_that_was_lost_is_a_regression() -> None:
    assert regressed(with_outcome("wire/d", "not-supported")) == [("regression", "wire/d")]


def test_an_allowed_gap_that_passed_before_is_a_regression() -> None:
    before = with_outcome("trust/gap", "pass", None)
    assert regressed(CLAUSES, before) == [("regression", "trust/gap")]


def test_a_core_clause_that_is_extended_now_is_a_regression() -> None:
    lowered = [c.model_copy(update={"level": "extended"}) if c.id == "identity/b" else c for c in CLAUSES]
    assert regressed(lowered) == [("regression", "identity/b")]


@pytest.mark.parametrize("outcome", ["not-supported", "known-gap", "skipped"])
def test_what_got_better_is_no_regression(outcome: str) -> None:
    assert regressed(CLAUSES, with_outcome("wire/d", outcome)) == []


def test_a_baseline_that_can_show_nothing_is_refused() -> None:
    assert regressed(CLAUSES, []) == [("baseline", "core clauses")]
    report = made(CLAUSES)
    reasons = judge(report, policy(), now=NOW, baseline=report)
    assert [(reason.rule, reason.subject) for reason in reasons] == [("baseline", "run")]
    doctored = made(CLAUSES, ran(STARTED - timedelta(days=1))).model_copy(update={"profiles": []})
    reasons = judge(report, policy(), now=NOW, baseline=doctored)
    assert [(reason.rule, reason.subject) for reason in reasons] == [("baseline", "profiles")]


# Against other runs of the same.


def other(
    clauses: list[ClauseResult] | None = None, run_id: str = "o", code: int | None = 0, **fields: Any
) -> ConformanceReport:
    """Make the report of another run of the same suite on the same stack."""
    run = ran(STARTED - timedelta(days=1), code).model_copy(update={"id": run_id})
    return made(CLAUSES if clauses is None else clauses, run, **fields)


def flaky_in(*history: ConformanceReport) -> list[tuple[str, str]]:
    reasons = flaky(made(CLAUSES), history)
    assert {reason.rule for reason in reasons} <= {"flaky"}
    assert exit_code(reasons) == bool(reasons)
    return [(reason.subject, reason.message) for reason in reasons]


@pytest.mark.parametrize("outcome", ["fail", "unknown", "not-supported", "known-gap"])
def test_a_clause_that_came_to_something_else_is_flaky(outcome: str) -> None:
    twice = [other(), other(with_outcome("wire/d", outcome), "p", 1 if outcome == "fail" else 0)]
    assert flaky_in(*twice) == [("wire/d", f"pass in r, o, {outcome} in p")]


def test_runs_that_agree_are_steady() -> None:
    assert flaky_in(other(), other(run_id="p")) == []


def test_what_nobody_looked_at_is_not_flaky() -> None:
    left_out = other(with_outcome("wire/d", "skipped"), "p")
    cut_off = other(with_outcome("wire/d", "unknown"), "q", 2)
    assert flaky_in(other(), left_out, cut_off) == []
    assert flaky_in(left_out, cut_off) == [("wire/d", "no other run looked at it")]


def test_a_clause_that_failed_before_the_run_was_cut_off_is_flaky() -> None:
    cut_off = other(with_outcome("wire/d", "fail"), "p", 2)
    assert flaky_in(cut_off) == [("wire/d", "pass in r, fail in p")]


def test_a_clause_that_is_only_in_other_runs_is_flaky_all_the_same() -> None:
    before = [*CLAUSES, ClauseResult(id="chaos/e", level="core", outcome="pass", seconds=1)]
    failed = [*before[:-1], before[-1].model_copy(update={"outcome": "fail"})]
    assert flaky_in(other(before), other(failed, "p", 1)) == [("chaos/e", "pass in o, fail in p")]


NO_RERUN = {
    "no report": [],
    "the report itself": [made(CLAUSES)],
    "of another stack": [other(stack={**made(CLAUSES).stack, "pace": "reference"})],
    "of another suite": [other().model_copy(update={"suite": Suite(version="0", commit="d", reproduce="")})],
}


@pytest.mark.parametrize("name", NO_RERUN)
def test_a_history_without_a_run_of_the_same_shows_no_steadiness(name: str) -> None:
    assert [subject for subject, _ in flaky_in(*NO_RERUN[name])] == ["history"]


def test_runs_of_no_known_commit_are_not_of_the_same_suite() -> None:
    suite = Suite(version="0.1.0", commit="unknown", reproduce="tox")
    report, before = (each.model_copy(update={"suite": suite}) for each in (made(CLAUSES), other()))
    assert [reason.subject for reason in flaky(report, [before])] == ["history"]


def test_images_built_anew_are_the_same_stack() -> None:
    stack = {**made(CLAUSES).stack, "digests": {"pilot": "sha256:1"}}
    assert flaky_in(other(stack=stack)) == []


def test_a_doctored_history_and_an_empty_one_are_refused() -> None:
    doctored = other().model_copy(update={"profiles": []})
    assert [subject for subject, _ in flaky_in(doctored)] == ["o"]
    assert [subject for subject, _ in flaky_in(other([]))] == [clause.id for clause in CLAUSES]


# The policy.


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"profiles": []},
        {"profiles": ["identiy"]},
        {"corePassed": 0},
        {"clauses": 0},
        {"stack": {}},
        {"stack": {"istio": 1.31}},
        {"stack": {"istio": ""}},
        {"maxAge": "48"},
        {"maxAge": "0h"},
        {"maxAge": 48},
        {"knownGaps": [{"id": "a/b", "expires": "2027-01-01"}]},
        {"knownGaps": [{"id": "a/b", "reason": "so"}]},
        {"knownGaps": [{"id": "a/b", "reason": "so", "expires": "never"}]},
        {"knownGaps": [{"id": "a/b", "reason": "so", "expires": "2027-01-01"}] * 2},
        {"measurements": {"a": {}}},
        {"measurements": {"a": {"max": float("nan")}}},
        {"measurements": {"a": {"max": float("inf")}}},
        {"measurements": {"a": {"min": 1, "max": 0}}},
        {"measurements": {"a": {"mx": 0}}},
        {"kind": "ConformanceReport"},
        {"apiVersion": "meshproof.io/v2"},
    ],
    ids=str,
)
def test_a_policy_that_asks_for_nothing_or_nothing_known_is_refused(change: Document) -> None:
    with pytest.raises(ValidationError):
        policy(**change)


@pytest.mark.parametrize("name", ["apiVersion", "kind", "profiles", "corePassed", "stack", "maxAge"])
def test_a_policy_without_a_demand_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate({key: value for key, value in POLICY.items() if key != name})


# Our own policy, and all clauses that there are.


@pytest.fixture(scope="module")
def own() -> Policy:
    return Policy.model_validate(load_document(POLICY_FILE.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def full(own: Policy) -> ConformanceReport:
    """A report of a complete run of our reference stack."""
    gaps = {gap.id: {"outcome": "known-gap", "message": gap.link or gap.reason} for gap in own.known_gaps}
    clauses = [
        ClauseResult.model_validate(
            {"id": name, "level": level, "seconds": 1, "outcome": "pass", **gaps.get(name, {})}
        )
        for name, level in ROW.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    ]
    measurements: Document = {}
    for path, bound in own.measurements.items():
        *parents, leaf = path.split(".")
        table = measurements
        for parent in parents:
            table = table.setdefault(parent, {})
        table[leaf] = bound.min if bound.min is not None else bound.max
    stack = {name: f"{value[:-1]}-x" if value[-1] == "*" else value for name, value in own.stack.items()}
    return made(sorted(clauses, key=lambda c: order(c.id)), stack=stack, measurements=measurements)


def test_a_complete_run_of_our_stack_is_conformant(own: Policy, full: ConformanceReport) -> None:
    assert judge(full, own, now=NOW) == []


def test_our_policy_misses_every_clause_that_is_left_out(own: Policy, full: ConformanceReport) -> None:
    """A new clause raises `clauses`, and a core one `corePassed`, in manifests/gate.yaml."""
    core = [clause for clause in full.clauses if clause.level == "core" and clause.outcome == "pass"]
    assert (len(core), len(full.clauses)) == (own.core_passed, own.clauses)
    for gone in full.clauses:
        report = made(
            [c for c in full.clauses if c != gone], stack=full.stack, measurements=full.measurements
        )
        assert judge(report, own, now=NOW), gone.id


def test_our_policy_allows_gaps_of_clauses_that_there_are(own: Policy, full: ConformanceReport) -> None:
    assert {gap.id for gap in own.known_gaps} <= {clause.id for clause in full.clauses}


# The command.


@pytest.fixture
def gate(tmp_path: Path) -> Callable[..., int]:
    """Run the command on a report, given as one or as text."""

    def run(report: ConformanceReport | str, *words: str) -> int:
        text = report if isinstance(report, str) else to_yaml(report)
        (tmp_path / "report.yaml").write_text(text, encoding="utf-8")
        (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY), encoding="utf-8")
        files = [str(tmp_path / "report.yaml"), "--policy", str(tmp_path / "policy.yaml")]
        return main(["gate", *files, "--now", NOW.isoformat(), *words])

    return run


def test_command_prints_one_line_for_a_conformant_report(
    gate: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert gate(made(CLAUSES)) == 0
    said = "conformant: r, 4 clauses passed, 1 known gap of those the policy allows\n"
    assert capsys.readouterr().out == said


def test_command_prints_every_reason_and_then_the_verdict(
    gate: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert gate(made(with_outcome("trust/c", "fail"), ran(STARTED, 1))) == 1
    assert capsys.readouterr().out.splitlines() == [
        "failed: trust/c: why",
        "profile: trust: none of its core clauses passed",
        "too-few: core clauses: 2 passed, the policy asks for 3",
        "not conformant: r, 3 reasons",
    ]


def test_command_prints_json(gate: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert gate(made(CLAUSES, ran(STARTED, 3)), "--json") == 3
    assert json.loads(capsys.readouterr().out) == {
        "conformant": False,
        "exitCode": 3,
        "at": "2026-06-01T15:00:00+00:00",
        "run": "r",
        "reasons": [
            {
                "rule": "ended-early",
                "subject": "run",
                "message": "it did not reach its own end (exit code 3)",
            }
        ],
        "notes": [],
    }


def test_command_reads_a_baseline(gate: Callable[..., int], tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text(to_yaml(made(CLAUSES, ran(STARTED - timedelta(days=1)))), encoding="utf-8")
    assert gate(made(CLAUSES), "--baseline", str(old)) == 0
    assert gate(made(without("wire/d")), "--baseline", str(old)) == 1


def test_command_asks_for_a_commit(gate: Callable[..., int]) -> None:
    assert gate(made(CLAUSES), "--commit", "c") == 0
    assert gate(made(CLAUSES), "--commit", "d") == 1


def test_command_tells_failed_healing(gate: Callable[..., int]) -> None:
    run = ran(STARTED, 1).model_copy(update={"healing_failed": [UNHEALED]})
    assert gate(made(CLAUSES, run)) == 4


def test_command_notes_what_is_flaky_and_refuses_it_where_that_is_asked_for(
    gate: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = {"a": other(run_id="a"), "b": other(with_outcome("wire/d", "not-supported"), "b")}
    for name, report in reports.items():
        (tmp_path / "reports" / name).mkdir(parents=True)
        (tmp_path / "reports" / name / "report.yaml").write_text(to_yaml(report), encoding="utf-8")
    words = ["--history", str(tmp_path / "reports")]
    said = "flaky: wire/d: pass in r, a, not-supported in b"

    assert gate(made(CLAUSES), *words) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"not judged: {said}"
    assert gate(made(CLAUSES), *words, "--fail-on-flaky") == 1
    assert capsys.readouterr().out.splitlines() == [said, "not conformant: r, 1 reason"]
    words = ["--history", str(tmp_path / "reports" / "a"), "--history", str(tmp_path / "reports" / "a")]
    assert gate(made(CLAUSES), *words, "--fail-on-flaky") == 0


def test_flakiness_without_a_history_is_wrong_use(
    gate: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert gate(made(CLAUSES), "--fail-on-flaky") == 2
    assert gate(made(CLAUSES), "--fail-on-flaky", "--history", str(tmp_path / "empty")) == 2
    assert capsys.readouterr().err.count("\n") == 2


UNREADABLE = {
    "empty": "",
    "no YAML": "a: [",
    "a list": "- 1",
    "another version": to_yaml(made(CLAUSES)).replace("v1alpha1", "v2"),
    "an unknown field": to_yaml(made(CLAUSES)) + "extra: 1\n",
    "an unknown field of a clause": to_yaml(made(CLAUSES)).replace("  outcome:", "  was: x\n  outcome:", 1),
    "two verdicts": "verdict: do-not-ship\n" + to_yaml(made(CLAUSES)),
    "an outcome twice": to_yaml(made(CLAUSES)).replace("  outcome:", "  outcome: fail\n  outcome:", 1),
    "an exit code in two spellings": to_yaml(made(CLAUSES)).replace(
        "  exitCode: 0", "  exitCode: 0\n  exit_code: 1"
    ),
    "two documents": to_yaml(made(CLAUSES)) + "---\n" + to_yaml(made(CLAUSES)),
    "code": "!!python/object/apply:os.getcwd []",
    "a day that never was": "a: 2026-02-31",
    "too deep": "[" * 5000,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_report_is_wrong_use(
    name: str, gate: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert gate(UNREADABLE[name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "report.yaml: " in err
    assert "want the report.yaml of a run" in err


@pytest.mark.parametrize(
    "words",
    [
        ["gate"],
        ["gate", "report.yaml"],
        ["gate", "missing.yaml", "--policy", str(POLICY_FILE)],
        ["gate", str(POLICY_FILE), "--policy", str(POLICY_FILE)],
        ["gate", "missing.yaml", "--policy", "."],
        ["gate", "a", "--policy", "b", "--now", "2026-01-01"],
        ["gate", "a", "--policy", "b", "--now", "2026-13-01T00:00:00Z"],
        ["gates"],
        [],
    ],
    ids=str,
)
def test_wrong_use_is_said_in_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1


def test_a_baseline_that_is_not_there_is_wrong_use(gate: Callable[..., int]) -> None:
    assert gate(made(CLAUSES), "--baseline", "missing.yaml") == 2
