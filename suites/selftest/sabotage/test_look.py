"""Runs of the suite beside this one: here they are functions that do what a run of pytest might."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from fixtures.cluster.wait import wait_for
from fixtures.sabotage import look as module
from fixtures.sabotage.look import LookError, look

REPORTS = Path(__file__).parents[3] / "docs" / "example-report"
GROUPS = (["identity/uri-san-single"], ["trust/chain-depth"])


def report_of(argv: Sequence[str]) -> Path:
    return next(Path(word.partition("=")[2]) for word in argv if word.startswith("--report-dir="))


def reports(argv: Sequence[str], environment: Mapping[str, str], printed: Path) -> None:
    """Write a report, and beside it what this run was started with."""
    report = report_of(argv)
    report.mkdir()
    shutil.copy(REPORTS / "report.yaml", report)
    assert Path(environment["TMPDIR"]).is_dir()
    printed.write_text("\n".join((*argv, *(f"{name}={value}" for name, value in environment.items()))))
    sys.exit(1)


def breaks_off(argv: Sequence[str], environment: Mapping[str, str], printed: Path) -> None:
    printed.write_text("no such cluster")
    sys.exit(2)


def stays(argv: Sequence[str], environment: Mapping[str, str], printed: Path) -> None:
    os.setsid()
    child = multiprocessing.get_context("fork").Process(target=signal.pause)
    child.start()
    printed.with_suffix(".pid").write_text(str(child.pid))
    child.join()


def test_runs_are_told_which_clauses_and_how_patient_to_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MESHPROOF_TIMEOUT_SCALE_LOG_LINE", "3")

    folder = tmp_path / "new" / "reports"
    found = look(["--cluster-name=one"], GROUPS, folder, scales={"log_line": 0.5}, prove=reports)

    assert set(found) == {"identity/uri-san-single", "trust/chain-depth"}
    first, second = ((folder / f"{number}.txt").read_text().splitlines() for number in (0, 1))
    assert (first[0], second[0]) == ("suites/identity", "suites/trust")
    assert "--clauses=trust/chain-depth" in second
    for told in (first, second):
        assert {"--cluster-name=one", "MESHPROOF_TIMEOUT_SCALE_LOG_LINE=1.5"} <= set(told)
        (scratch,) = (line.partition("=")[2] for line in told if line.startswith("TMPDIR="))
        assert not Path(scratch).exists()


def test_run_that_breaks_off_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(LookError) as caught:
        look([], [["wire/mtls-strict"]], tmp_path, prove=breaks_off)

    assert str(caught.value) == "wire/mtls-strict: no such cluster"


def test_run_that_does_not_end_is_ended_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_LONGEST", 3.0)

    with pytest.raises(LookError, match="not at its end after 3 s"):
        look([], [GROUPS[1]], tmp_path, prove=stays)

    child = Path("/proc", (tmp_path / "0.pid").read_text(), "stat")
    wait_for(
        lambda: child.exists() and child.read_text().rpartition(") ")[2][0],
        lambda state: state in (False, "Z"),
        condition="what the run started has ended",
        timeout=20,
        delay=0.02,
    )


def test_a_run_is_one_of_pytest(tmp_path: Path) -> None:
    with pytest.raises(LookError, match="This is pytest version"):
        look(["--version", "--version"], [GROUPS[0]], tmp_path)
