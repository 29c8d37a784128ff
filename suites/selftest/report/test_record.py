from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.report.catalogue import Clause
from fixtures.report.record import Picture, RunRecord, evidence_name


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    return RunRecord(tmp_path / "run", datetime(2026, 1, 2, tzinfo=UTC))


def test_measurements_nest_by_dots(record: RunRecord) -> None:
    record.measure("setUpSeconds.kindCreate", 40.5)
    record.measure("setUpSeconds.istio", 30)
    record.measure("failedRequests", 0)
    assert record.measurements == {
        "setUpSeconds": {"kindCreate": 40.5, "istio": 30},
        "failedRequests": 0,
    }


@pytest.mark.parametrize("path", ["a.b.c", "a"])
def test_a_value_and_a_table_never_share_a_name(record: RunRecord, path: str) -> None:
    record.measure("a.b", 1)
    with pytest.raises(ValueError, match="already holds"):
        record.measure(path, 2)


def test_what_is_no_json_is_refused_where_it_is_measured(record: RunRecord) -> None:
    with pytest.raises(ValueError):
        record.measure("a", Path("x"))  # type: ignore[arg-type]


def test_evidence_of_a_test_is_in_the_folder_of_its_clause(record: RunRecord) -> None:
    clause = Clause("identity/leaf-is-leaf", "core", frozenset(), "Claim.", "")
    record.expect("t.py::test_x[a]", clause)
    folder = record.evidence_dir("t.py::test_x[a]")
    assert folder == record.directory / "evidence" / "identity-leaf-is-leaf"
    assert folder == record.evidence_dir("identity/leaf-is-leaf")
    assert folder.is_dir()


def test_a_picture_is_written_remembered_and_shown(record: RunRecord) -> None:
    shown: list[tuple[str, Path]] = []
    record.enabled = True
    record.on_picture.append(lambda title, file: shown.append((title, file)))
    file = record.picture("A rotation", "rotation/edit duration", "<svg>\u00e9</svg>")
    assert file == record.directory / "timelines" / "rotation-edit-duration.svg"
    assert file.read_text(encoding="utf-8") == "<svg>\u00e9</svg>"
    assert record.pictures == [Picture("A rotation", "timelines/rotation-edit-duration.svg")]
    assert shown == [("A rotation", file)]


def test_no_picture_takes_another_one_s_place(record: RunRecord) -> None:
    record.enabled = True
    files = [record.picture("T", name, name) for name in ("a/b", "a b", "a-b-2", "../a-b")]
    assert [file and file.name for file in files] == ["a-b.svg", "a-b-2.svg", "a-b-2-2.svg", "a-b-3.svg"]
    assert [file and file.read_text() for file in files] == ["a/b", "a b", "a-b-2", "../a-b"]
    assert [picture.path for picture in record.pictures] == [
        f"timelines/{file.name}" for file in files if file
    ]


def test_without_a_report_there_is_no_picture(record: RunRecord) -> None:
    record.on_picture.append(lambda title, file: pytest.fail(f"{title} is shown"))
    assert record.picture("A rotation", "a", "<svg/>") is None
    assert record.pictures == []
    assert not record.directory.exists()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("suites/t.py::test_x[a/b c]", "suites-t.py-test_x-a-b-c"),
        ("../..", "unnamed"),
        ("/etc/passwd", "etc-passwd"),
    ],
)
def test_folder_names_are_tame(owner: str, name: str) -> None:
    assert evidence_name(owner) == name


def test_long_names_stay_apart() -> None:
    names = {evidence_name("x" * 300 + end) for end in "ab"}
    assert len(names) == 2
    assert max(map(len, names)) < 140
