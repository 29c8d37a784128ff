from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from fixtures.report.model import ConformanceReport, Timeline

Invoke = Callable[..., pytest.RunResult]
Session = Callable[..., ConformanceReport]


def test_the_session_s_stack_and_measurements_are_reported(session: Session) -> None:
    report = session(
        '@pytest.fixture\ndef record(pytestconfig):\n    """The run."""\n'
        "    return pytestconfig.stash[RUN_RECORD]\n"
        "def test_facts(record):\n"
        "    record.stack['istio'] = '1.31'\n"
        "    record.measure('setUpSeconds.kindCreate', 40.5)\n"
        "    record.commit, record.reproduce = 'abc', 'tox -e e2e'\n",
    )
    assert report.stack == {"istio": "1.31"}
    assert report.measurements == {"setUpSeconds": {"kindCreate": 40.5}}
    assert (report.suite.commit, report.suite.reproduce) == ("abc", "tox -e e2e")


GOOD = '''
from fixtures.report.catalogue import conformance

@conformance(id="identity/fine")
def test_fine():
    """Fine."""

'''
EVIDENCE = '''
up = []

@pytest.fixture
def workload():
    up.append(1)
    yield
    up.clear()

def collect(clause_id, folder):
    with (folder / "calls.txt").open("a") as file:
        file.write(f"{clause_id} {len(up)}\\n")

def give_up(clause_id, folder):
    pytest.fail("kubectl is gone")

@pytest.fixture(autouse=True, scope="session")
def diagnostics(pytestconfig):
    pytestconfig.stash[RUN_RECORD].on_failure += [give_up, collect]

@pytest.mark.parametrize("n", [1, 2])
@conformance(id="wire/a")
def test_a(n, workload):
    """A."""
    assert 0, "the failure itself"
'''


def test_a_failed_clause_is_explained_once_while_its_fixtures_are_up(
    session: Session, pytester: pytest.Pytester
) -> None:
    report = session(EVIDENCE, code=1)
    out = pytester.path / "out"
    assert [file.name for file in (out / "evidence").iterdir()] == ["wire-a.tar.gz"]
    with tarfile.open(out / "evidence" / "wire-a.tar.gz") as archive:
        archive.extractall(pytester.path / "unpacked", filter="data")
    evidence = pytester.path / "unpacked" / "wire-a"
    assert (evidence / "calls.txt").read_text() == "wire/a 1\n"
    assert "the failure itself" in (evidence / "failure.txt").read_text()
    assert "kubectl is gone" in (evidence / "diagnostics-error.txt").read_text()
    assert "`evidence/wire-a.tar.gz`" in (out / "report.md").read_text(encoding="utf-8")
    shown = (out / "report.html").read_text(encoding="utf-8")
    assert 'href="evidence/wire-a.tar.gz"' in shown
    assert "def test_a(n, workload):" in shown
    (message,) = [each.message for each in report.clauses if each.id == "wire/a"]
    assert message == "[1] AssertionError: the failure itself (and 1 more)"


def test_all_files_of_a_run_are_in_its_folder(session: Session, pytester: pytest.Pytester) -> None:
    session(
        '@conformance(id="wire/a", level="extended", requires={"spire"})\n'
        '@pytest.mark.xfail(reason="istio#1")\ndef test_a(pytestconfig):\n    """A."""\n'
        "    pytestconfig.stash[RUN_RECORD].stack['istio'] = '1.31'\n    assert 0\n"
        '@conformance(id="wire/b", level="extended")\ndef test_b():\n    """B."""\n'
        "    pytest.skip('NOT_SUPPORTED: no x')\n",
        code=0,
    )
    out = pytester.path / "out"
    assert {path.name for path in out.iterdir()} == {
        "report.yaml",
        "report.md",
        "report.html",
        "junit.xml",
        "allure-results",
    }
    assert (out / "report.md").read_text(encoding="utf-8").startswith("# Meshproof")
    junit = ElementTree.parse(out / "junit.xml").getroot()
    assert {each.get("value") for each in junit.iter("property")} == {
        "identity/fine",
        "wire/a",
        "wire/b",
    }
    allure = out / "allure-results"
    assert (allure / "environment.properties").read_text() == "meshproof=0.1.0\nistio=1.31\n"
    assert json.loads((allure / "categories.json").read_text())[0]["name"] == "Set-up broke"
    results = allure_results(allure)
    labels = {(label["name"], label["value"]) for label in results["test_a"]["labels"]}
    assert {
        ("epic", "wire"),
        ("story", "wire/a"),
        ("severity", "normal"),
        ("feature", "spire"),
    } <= labels
    # The categories tell these two apart by their first words.
    assert results["test_a"]["statusDetails"]["message"].startswith("XFAIL istio#1")
    assert results["test_b"]["statusDetails"]["message"].startswith("Skipped: NOT_SUPPORTED:")
    core = {(label["name"], label["value"]) for label in results["test_fine"]["labels"]}
    assert ("severity", "critical") in core


PICTURES = """
def test_drawn(pytestconfig):
    assert pytestconfig.stash[RUN_RECORD].picture("A rotation", "rotation/a", "<svg/>")
"""
BETWEEN = """
from fixtures.report.record import RUN_RECORD

def pytest_runtestloop(session):
    session.config.stash[RUN_RECORD].picture("Early", "early", "<svg/>")
"""


def test_a_picture_is_in_the_folder_the_report_and_allure(
    session: Session, pytester: pytest.Pytester
) -> None:
    report = session(PICTURES)
    out = pytester.path / "out"
    assert report.timelines == [Timeline(title="A rotation", path="timelines/rotation-a.svg")]
    assert (out / report.timelines[0].path).read_text() == "<svg/>"
    assert "![A rotation](timelines/rotation-a.svg)" in (out / "report.md").read_text(encoding="utf-8")
    (attached,) = allure_results(out / "allure-results")["test_drawn"]["attachments"]
    assert (attached["name"], attached["type"]) == ("A rotation", "image/svg+xml")
    assert (out / "allure-results" / attached["source"]).read_text() == "<svg/>"


DRAWN = """
from datetime import UTC, datetime, timedelta
from fixtures.report.timeline import Events, Mark, timeline

def test_drawn(pytestconfig):
    begin = datetime(2030, 1, 1, tzinfo=UTC)
    lane = Events("steps", (Mark(begin, "edited"),))
    svg = timeline("A rotation", begin, begin + timedelta(seconds=9), [lane])
    assert pytestconfig.stash[RUN_RECORD].picture("A rotation", "a", svg)
"""


def test_the_page_shows_the_picture_itself(session: Session, pytester: pytest.Pytester) -> None:
    session(DRAWN)
    shown = (pytester.path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<svg" in shown
    assert ">edited</text>" in shown


def test_a_picture_between_tests_is_in_the_report_all_the_same(
    session: Session, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(BETWEEN)
    report = session("")
    assert report.timelines == [Timeline(title="Early", path="timelines/early.svg")]


def allure_results(folder: Path) -> dict[str, dict[str, Any]]:
    read = [json.loads(path.read_text()) for path in folder.glob("*-result.json")]
    return {each["name"]: each for each in read}


def test_the_session_closes_with_the_summary(pytester: pytest.Pytester, invoke: Invoke) -> None:
    pytester.makepyfile(GOOD)
    result = invoke("--report-dir=auto")
    result.stdout.fnmatch_lines(
        [
            "=* meshproof =*",
            "verdict   SHIP: 1 core clause passed",
            "identity  success *",
            "report    reports/20??????T??????Z-??????/report.md",
            "page      reports/20??????T??????Z-??????/report.html",
            "=* 1 passed in *",
        ]
    )


def test_without_the_option_nothing_is_written(pytester: pytest.Pytester, invoke: Invoke) -> None:
    pytester.makepyfile(GOOD + "def test_stray():\n    assert 0\n")
    before = set(pytester.path.iterdir())
    result = invoke()
    assert result.ret == 1
    assert "verdict" not in result.stdout.str()
    left = {path.name for path in set(pytester.path.iterdir()) - before}
    assert left <= {"__pycache__"}


def test_collecting_alone_writes_nothing(pytester: pytest.Pytester, invoke: Invoke) -> None:
    pytester.makepyfile(GOOD)
    assert invoke("--report-dir=out", "--collect-only").ret == 0
    assert not (pytester.path / "out").exists()


def test_the_user_s_own_junit_and_allure_stay_theirs(session: Session, pytester: pytest.Pytester) -> None:
    session("", "--junitxml=mine.xml", "--alluredir=mine")
    assert (pytester.path / "mine.xml").exists()
    assert (pytester.path / "mine" / "environment.properties").exists()
    assert {path.name for path in (pytester.path / "out").iterdir()} == {
        "report.yaml",
        "report.md",
        "report.html",
    }


def test_a_used_folder_is_refused(session: Session, invoke: Invoke) -> None:
    session("")
    result = invoke("--report-dir=out")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--report-dir: out is not an empty folder*"])
