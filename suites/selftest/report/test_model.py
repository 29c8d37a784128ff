from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from fixtures.report.assemble import profiles_of
from fixtures.report.model import (
    ClauseResult,
    ConformanceReport,
    Run,
    Suite,
    Timeline,
    from_yaml,
    to_yaml,
)

CLAUSES = [
    ClauseResult(id="identity/uri-san-single", level="core", outcome="pass", seconds=1.25),
    ClauseResult(
        id="wire/plaintext-refused",
        level="extended",
        outcome="known-gap",
        seconds=0,
        requires=["spire"],
        message="accepted: https://example.org/1, expires 2026-06-30 - \u00e9",
    ),
]
REPORT = ConformanceReport(
    verdict="ship",
    reason="1 core clause passed",
    suite=Suite(version="0.1.0", commit="unknown", reproduce="tox -e e2e -- -k 'a: b'"),
    run=Run(
        id="r",
        started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        finished=datetime(2026, 1, 2, 3, 5, tzinfo=UTC),
        seconds=55,
        exit_code=0,
    ),
    stack={"kubernetes": "1.34", "images": "build", "digests": {"istiod": "sha256:00"}},
    profiles=profiles_of(CLAUSES),
    clauses=CLAUSES,
    measurements={"requests": 1200, "rotationSeconds": {"issued": 2.5, "served": None}},
)


def test_yaml_and_back_is_the_same_report() -> None:
    assert from_yaml(to_yaml(REPORT)) == REPORT


def test_a_report_reads_as_the_design_shows_it() -> None:
    lines = to_yaml(REPORT).splitlines()
    assert lines[:4] == [
        "apiVersion: meshproof.io/v1alpha1",
        "kind: ConformanceReport",
        "verdict: ship",
        "reason: 1 core clause passed",
    ]
    top = [line.split(":")[0] for line in lines if not line.startswith((" ", "-"))]
    assert top[4:] == ["suite", "run", "stack", "profiles", "clauses", "measurements"]
    assert "      knownGaps: 1" in lines


def test_timelines_stand_at_the_end_and_come_back() -> None:
    timelines = [Timeline(title="A rotation: \u00e9", path="timelines/a.svg")]
    report = REPORT.model_copy(update={"timelines": timelines})
    assert from_yaml(to_yaml(report)) == report
    assert to_yaml(report).removeprefix(to_yaml(REPORT)).splitlines() == [
        "timelines:",
        "- title: 'A rotation: \u00e9'",
        "  path: timelines/a.svg",
    ]


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        from_yaml(to_yaml(REPORT) + "extra: 1\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("meshproof.io/v1alpha1", "meshproof.io/v2"),
        ("kind: ConformanceReport", "kind: Report"),
        ("verdict: ship", "verdict: maybe"),
        ("outcome: pass", "outcome: green"),
        ("failed: 0", "failed: -1"),
    ],
)
def test_a_foreign_document_is_refused(old: str, new: str) -> None:
    with pytest.raises(ValidationError):
        from_yaml(to_yaml(REPORT).replace(old, new))


@pytest.mark.parametrize("text", ["", "a: [", "- 1"])
def test_what_is_no_report_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        from_yaml(text)
