from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from fixtures.report.__main__ import main
from fixtures.report.assemble import profiles_of, verdict_of
from fixtures.report.difference import differences
from fixtures.report.model import ClauseResult, ConformanceReport, Run, Suite, to_yaml
from fixtures.report.outcomes import Outcome

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def report(
    outcomes: dict[str, Outcome] | None = None,
    stack: dict[str, JsonValue] | None = None,
    measurements: dict[str, JsonValue] | None = None,
) -> ConformanceReport:
    found: dict[str, Outcome] = outcomes or {"identity/a": "pass"}
    clauses = [ClauseResult(id=name, level="core", outcome=one, seconds=1) for name, one in found.items()]
    run = Run(id="r", started=STARTED, finished=STARTED + timedelta(seconds=1), seconds=1, exit_code=0)
    verdict, reason = verdict_of(clauses, run)
    return ConformanceReport(
        verdict=verdict,
        reason=reason,
        suite=Suite(version="0.1.0", commit="c", reproduce="tox"),
        run=run,
        stack=stack or {"istio": "1.31"},
        profiles=profiles_of(clauses),
        clauses=clauses,
        measurements=measurements or {},
    )


def lines(old: ConformanceReport, new: ConformanceReport, tolerance: float = 0.1) -> list[str]:
    return [str(each) for each in differences(old, new, tolerance=tolerance)]


def test_a_report_does_not_differ_from_itself() -> None:
    assert lines(report(), report()) == []


def test_clauses_that_came_went_or_changed_in_the_order_of_the_catalogue() -> None:
    old = report({"identity/a": "pass", "wire/b": "pass", "chaos/c": "pass", "trust/same": "pass"})
    new = report({"identity/a": "known-gap", "chaos/c": "skipped", "trust/d": "pass", "trust/same": "pass"})
    assert [line for line in lines(old, new) if line.startswith("clause")] == [
        "clause: identity/a: pass (core) -> known-gap (core)",
        "clause: trust/d: new, pass (core)",
        "clause: wire/b: gone, was pass (core)",
        "clause: chaos/c: pass (core) -> skipped (core)",
    ]


def test_a_changed_verdict_comes_first() -> None:
    assert lines(report(), report({"identity/a": "fail"})) == [
        "verdict: verdict: ship -> do-not-ship",
        "clause: identity/a: pass (core) -> fail (core)",
    ]


def test_another_suite_and_another_level() -> None:
    clause = report().clauses[0].model_copy(update={"level": "extended"})
    suite = Suite(version="0.2.0", commit="another", reproduce="tox")
    assert lines(report(), report().model_copy(update={"suite": suite, "clauses": [clause]})) == [
        "suite: version: 0.1.0 -> 0.2.0",
        "clause: identity/a: pass (core) -> pass (extended)",
    ]


def test_a_clause_that_is_listed_twice_is_seen() -> None:
    clause = report().clauses[0]
    twice = report().model_copy(update={"clauses": [clause, clause]})
    assert lines(report(), twice) == ["clause: identity/a: pass (core) -> pass (core) and pass (core)"]


def test_stack_versions_of_any_depth() -> None:
    old = report(stack={"istio": "1.30", "digests": {"pilot": "sha256:0"}, "kind": "0.30.0"})
    new = report(stack={"istio": "1.31", "digests": {"pilot": "sha256:1"}, "envoy": "1.39.0"})
    assert lines(old, new) == [
        "stack: digests.pilot: sha256:0 -> sha256:1",
        "stack: envoy: new, 1.39.0",
        "stack: istio: 1.30 -> 1.31",
        "stack: kind: gone, was 0.30.0",
    ]


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        (100, 110, False),
        (100, 112, True),
        (110, 100, False),
        (-100, 100, True),
        (0, 0.0, False),
        (0, 1e-9, True),
        (1, float("inf"), True),
        (float("inf"), float("inf"), False),
        (1.5, 10**400, True),
        (1, True, True),
        ("a", "b", True),
        (None, 0, True),
        ([1], [1], False),
    ],
)
def test_a_measured_number_may_differ_by_a_part_of_it(old: JsonValue, new: JsonValue, differs: bool) -> None:
    found = lines(report(measurements={"a": {"b": old}}), report(measurements={"a": {"b": new}}))
    assert found == ([f"measurement: a.b: {_text(old)} -> {_text(new)}"] if differs else [])


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else repr(value)


def test_the_stack_knows_no_tolerance() -> None:
    assert lines(report(stack={"nodes": 100}), report(stack={"nodes": 101}))


def test_commands_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(to_yaml(report()), encoding="utf-8")
    new.write_text(to_yaml(report(stack={"istio": "1.32"})), encoding="utf-8")

    assert main(["diff", str(old), str(old)]) == 0
    assert capsys.readouterr().out == "0 differences\n"
    assert main(["diff", str(old), str(new)]) == 1
    assert capsys.readouterr().out == "stack: istio: 1.31 -> 1.32\n1 difference\n"
    assert main(["diff", "--json", str(old), str(new)]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {"kind": "stack", "subject": "istio", "old": "1.31", "new": "1.32"}
    ]


def test_command_takes_a_tolerance(tmp_path: Path) -> None:
    files = [tmp_path / "old.yaml", tmp_path / "new.yaml"]
    for file, seconds in zip(files, (10, 14), strict=True):
        file.write_text(to_yaml(report(measurements={"seconds": seconds})), encoding="utf-8")
    words = ["diff", *map(str, files)]

    assert main(words) == 0
    assert main([*words, "--tolerance", "0.2"]) == 1
    assert main([*words, "--tolerance", "0.3"]) == 0


@pytest.mark.parametrize(
    "more", [["missing.yaml"], [], ["--tolerance", "2", "a"], ["--tolerance", "nan", "a"]]
)
def test_wrong_use_is_said_in_one_line(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "missing.yaml", *more]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
