"""Runs of the suite that are made ready first, and begin when they are told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.cluster.run import background
from fixtures.cluster.wait import wait_for
from fixtures.sabotage import look as module
from fixtures.sabotage.look import GO, LookError, prepared

REPORTS = Path(__file__).parents[3] / "docs" / "example-report"


def script(monkeypatch: pytest.MonkeyPatch, text: str) -> list[list[str]]:
    """Run this in place of pytest, and remember with which words it was meant to be called."""
    called: list[list[str]] = []

    def instead(argv: list[str], **others: Any) -> Any:
        called.append([str(word) for word in argv])
        report = next(word.partition("=")[2] for word in called[-1] if word.startswith("--report-dir="))
        return background([sys.executable, "-c", text, report, REPORTS / "report.yaml"], **others)

    monkeypatch.setattr(module, "background", instead)
    return called


WAITS = f"""
import os, pathlib, shutil, sys
report = pathlib.Path(sys.argv[1])
report.mkdir(parents=True)
(report / "ready").touch()
os.read(int(os.environ["{GO}"]), 1)
shutil.copy(sys.argv[2], report / "report.yaml")
sys.exit(1)
"""


def await_file(path: Path) -> None:
    wait_for(path.exists, bool, condition=f"{path.name} is there", timeout=20, delay=0.02)


def test_runs_begin_when_they_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    called = script(monkeypatch, WAITS)
    groups = [["identity/uri-san-single"], [], ["trust/chain-depth"]]

    with prepared(["--cluster-name=one"], groups, tmp_path / "reports", scale=0.5) as look:
        for number in ("0", "2"):
            await_file(tmp_path / "reports" / number / "ready")
        assert not list(tmp_path.glob("reports/*/report.yaml"))
        outcomes = look()

    assert set(outcomes) == {"identity/uri-san-single", "trust/chain-depth"}
    assert [words[2:4] for words in called] == [["pytest", "suites/identity"], ["pytest", "suites/trust"]]
    assert all("--cluster-name=one" in words for words in called)


def test_runs_that_were_never_told_are_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script(monkeypatch, WAITS)
    opened = len(list(Path("/proc/self/fd").iterdir()))

    with prepared([], [["identity/uri-san-single"]], tmp_path / "reports"):
        await_file(tmp_path / "reports" / "0" / "ready")

    assert not list(tmp_path.glob("reports/*/report.yaml"))
    assert len(list(Path("/proc/self/fd").iterdir())) == opened


def test_run_that_breaks_off_is_an_error_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script(monkeypatch, "import sys; print('no such cluster'); sys.exit(2)")

    with prepared([], [["wire/mtls-strict"]], tmp_path) as look, pytest.raises(LookError) as caught:
        look()

    assert str(caught.value) == "wire/mtls-strict: no such cluster\n"
