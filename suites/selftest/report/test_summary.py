from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from fixtures.report.assemble import profiles_of, verdict_of
from fixtures.report.model import ClauseResult, ConformanceReport, Run, Suite, Timeline
from fixtures.report.summary import (
    MARKDOWN_LIMIT,
    WIDTH,
    markdown,
    set_up_ratio,
    terminal,
)

SET_UP: dict[str, JsonValue] = {"kindCreate": 40.0, "istio": 31.5, "total": 100.0}
MEASURED: dict[str, JsonValue] = {"setUpSeconds": SET_UP, "failedRequests": 0}
FAILED = ClauseResult(
    id="trust/chain-depth",
    level="core",
    outcome="fail",
    seconds=1,
    message="AssertionError: depth 2 | wanted 3 " + "x" * 200,
)
PASSED = ClauseResult(id="identity/leaf-is-leaf", level="core", outcome="pass", seconds=1)


def report(*clauses: ClauseResult, measurements: dict[str, JsonValue] | None = None) -> ConformanceReport:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    run = Run(id="r", started=now, finished=now, seconds=0, exit_code=1 if clauses else 5)
    verdict, reason = verdict_of(clauses, run)
    return ConformanceReport(
        verdict=verdict,
        reason=reason,
        suite=Suite(version="0.1.0", commit="abc", reproduce="tox -e e2e"),
        run=run,
        stack={"istio": "1.31", "digests": {"istiod": "sha256:00"}},
        profiles=profiles_of(clauses),
        clauses=list(clauses),
        measurements=MEASURED if measurements is None else measurements,
    )


def test_the_verdict_comes_first_and_failures_before_measurements() -> None:
    text = markdown(report(PASSED, FAILED))
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles == [
        "# Meshproof",
        "## Profiles",
        "## Failed",
        "## Set-up, in seconds",
        "## Measured",
        "## Stack",
    ]
    assert "| verdict | **DO NOT SHIP** |" in text.splitlines()[:6]


def test_a_failure_has_its_reason_and_its_evidence() -> None:
    row = next(line for line in markdown(report(FAILED)).splitlines() if "AssertionError" in line)
    assert row.startswith("| `trust/chain-depth` | core | AssertionError: depth 2 \\| wanted 3")
    assert row.endswith("| `evidence/trust-chain-depth/` |")


def test_the_set_up_stands_beside_the_bare_cluster() -> None:
    lines = markdown(report(PASSED)).splitlines()
    assert "| kindCreate | 40 |" in lines
    assert "| istio | 31.5 |" in lines
    assert "| ratio of total to kindCreate | 2.5 |" in lines


def test_what_was_not_healed_is_said_in_both() -> None:
    honest = report(PASSED)
    run = honest.run.model_copy(update={"healing_failed": ["chaos/x: the node | stays paused"]})
    unhealed = honest.model_copy(update={"run": run})
    assert "| chaos/x: the node \\| stays paused |" in markdown(unhealed).splitlines()
    lines = terminal(unhealed, "r")
    assert lines[lines.index("not healed") + 1] == "  chaos/x: the node | stays paused"


def test_timelines_are_listed_and_embedded_with_titles_that_stay_text() -> None:
    timelines = [
        Timeline(title="Rotation", path="timelines/a.svg"),
        Timeline(title="[x](http://y)\n<img> *b*", path="timelines/b.svg"),
    ]
    text = markdown(report(PASSED).model_copy(update={"timelines": timelines}))
    section = text.partition("## Timelines\n")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line] == [
        "- [Rotation](timelines/a.svg)",
        "  ![Rotation](timelines/a.svg)",
        r"- [\[x\](http://y) \<img\> \*b\*](timelines/b.svg)",
        r"  ![\[x\](http://y) \<img\> \*b\*](timelines/b.svg)",
    ]


@pytest.mark.parametrize("table", [{}, {"setUpSeconds": 3}, {"setUpSeconds": {"total": 3, "kindCreate": 0}}])
def test_there_is_no_ratio_without_both_times(table: dict[str, JsonValue]) -> None:
    assert set_up_ratio(table) is None


def test_markdown_is_cut_below_the_limit_and_says_so() -> None:
    rows: dict[str, JsonValue] = {f"{n:06}": "\u00e9" * 50 for n in range(15_000)}
    text = markdown(report(FAILED, measurements={"rows": rows}))
    assert len(text.encode()) < MARKDOWN_LIMIT
    assert text.startswith("# Meshproof")
    assert text.endswith("*Cut here: the rest is in `report.yaml`.*\n")


def test_the_terminal_fits_its_width_in_plain_ascii() -> None:
    many: dict[str, JsonValue] = {f"phase{n}": n / 3 for n in range(60)}
    lines = terminal(report(PASSED, FAILED, measurements={"setUpSeconds": many}), "reports/r")
    assert max(map(len, lines)) <= WIDTH
    assert all(line.isascii() for line in lines)


def test_the_terminal_says_verdict_counts_failures_figures_and_path() -> None:
    lines = terminal(report(PASSED, FAILED), "reports/r/report.md")
    assert lines[0] == "verdict   DO NOT SHIP: 1 clause failed: trust/chain-depth"
    assert lines[2].split()[:4] == ["profile", "result", "passed", "failed"]
    assert lines[3].split() == ["identity", "success", "1", "0", "0", "0", "0", "0"]
    assert lines[4].split() == ["trust", "failure", "0", "1", "0", "0", "0", "0"]
    assert lines[6] == "failed"
    assert lines[7].startswith("  trust/chain-depth  AssertionError: depth 2")
    assert lines[-1] == "report    reports/r/report.md"
    assert "  failedRequests  0" in lines
    assert any("total 100, ratio of total to kindCreate 2.5" in line for line in lines)


def test_an_empty_run_is_said_to_be_one() -> None:
    assert terminal(report(measurements={}), "r")[0] == "verdict   UNKNOWN: no core clause was run"
