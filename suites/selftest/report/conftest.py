from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from fixtures.report.assemble import assemble
from fixtures.report.catalogue import PROFILES, Clause, Level
from fixtures.report.model import ConformanceReport, from_yaml
from fixtures.report.outcomes import Phase
from fixtures.report.page import Beside
from fixtures.report.record import Picture, RunRecord, evidence_name
from fixtures.report.timeline import (
    Backdrop,
    Events,
    Log,
    Mark,
    Row,
    Series,
    Span,
    Spans,
    per_second,
    serial_span,
    timeline,
)

HEAD = '''
import pytest
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.report.record import RUN_RECORD

@pytest.fixture(scope="session")
def broken():
    raise OSError("no cluster")

@pytest.fixture
def broken_after():
    yield
    raise OSError("stuck")

@conformance(id="identity/fine")
def test_fine():
    """Fine."""

'''


Invoke = Callable[..., pytest.RunResult]
Session = Callable[..., ConformanceReport]


@pytest.fixture
def invoke(pytester: pytest.Pytester) -> Invoke:
    """Run pytest with our plugin, in this process, on what the test wrote into its folder."""
    pytester.makeini("[pytest]\nstrict = true")
    # Hypothesis would be imported anew by each of these runs, a second apiece.
    plugins = ("fixtures.report.plugin", "no:cacheprovider", "no:hypothesispytest")

    def run(*args: str) -> pytest.RunResult:
        options = [word for name in plugins for word in ("-p", name)]
        return pytester.runpytest_inprocess(*options, *args, no_reraise_ctrlc=True)

    return run


@pytest.fixture
def session(pytester: pytest.Pytester, invoke: Invoke) -> Session:
    """Run a suite with the given tests beside `identity/fine`, and read its report."""

    def run(source: str, *args: str, code: int = 0) -> ConformanceReport:
        pytester.makepyfile(HEAD + source)
        result = invoke("--report-dir=out", *args)
        assert result.ret == code, result.stdout.str()
        return from_yaml((pytester.path / "out" / "report.yaml").read_text(encoding="utf-8"))

    return run


@dataclass(frozen=True)
class Sample:
    """A report as a real run makes one, and what lies beside it."""

    report: ConformanceReport
    beside: Beside


@pytest.fixture(scope="session")
def sample() -> Sample:
    """A run of sixty clauses, in which something of everything happened."""
    return make_sample()


def make_sample() -> Sample:
    begin = datetime(2030, 1, 31, 12, 0, 0, tzinfo=UTC)
    record = RunRecord(Path("reports/20300131T120000Z-0a1b2c"), begin, commit="0a1b2c3d" * 5)
    record.reproduce = "tox -e e2e -- --pace fast --images build"
    record.required_profiles = PROFILES
    phases = {
        "trust/c3": Phase("call", "failed", "AssertionError: [no-root] 2 roots in Envoy, 1 in SPIRE <&>", 4),
        "reload/c1": Phase("call", "failed", "AssertionError: istiod goes on with the old CA", 61.5),
        "rotation/c5": Phase("setup", "failed", "CommandError: kubectl: the server does not answer"),
        "reload/c7": Phase(
            "call", "skipped", f"{BUG}: its own CA is not watched, expires 2030-01-30", 3, True
        ),
        "reload/c4": Phase("call", "skipped", f"{BUG}4, expires 2030-06-30", 2.25, expected=True),
        "wire/c7": Phase("setup", "skipped", "NOT_SUPPORTED: no federation"),
        "chaos/c7": Phase("setup", "skipped", "deselected"),
    }
    for profile, number in product(PROFILES, range(8)):
        clause_id = f"{profile}/c{number}"
        level: Level = "extended" if number > 5 else "core"
        requires = frozenset({"federation"} if level == "extended" else ())
        clause = Clause(clause_id, level, requires, f"Claim {number} of {profile} holds.", SOURCE)
        record.expect(clause_id, clause)
        record.observe(clause_id, clause_id, phases.get(clause_id, Phase("call", "passed", seconds=number)))
        record.observe(clause_id, clause_id, Phase("teardown", "passed"))
    record.other_failures.append("suites/rotation/test_traffic.py::test_loads_came_through")
    record.healing_failed.append("chaos/c5: the worker stays paused")
    record.measure("failedRequests", 0)
    record.measure("setUpSeconds", {"kindCreate": 24.1, "total": 51.4})
    record.measure("rotationSeconds", {"issued": 0.02, "mounted": 6.09, "reloaded": 6.25, "served": 6.75})
    for name, load in product(("rotation", "reload"), ("handshakes", "pooled", "stream")):
        record.measure(
            f"traffic.{name}.{load}", {"lost": 0, "perSecond": 121.4, "requests": 24510, "retries": 0}
        )
    record.stack.update(kubernetes="v1.34.2", istio="1.31.0", spire="1.13.3", pace="fast")
    record.stack["digests"] = {name: f"sha256:{name[0] * 64}" for name in ("envoy", "istiod", "agent")}
    drawings = {}
    for number, title in enumerate(("The root grows", "Edit: duration")):
        drawings[f"timelines/{number}.svg"] = draw(title, begin, begin + timedelta(seconds=60 * number + 40))
        record.pictures.append(Picture(title, f"timelines/{number}.svg"))
    finished = begin + timedelta(seconds=1503)
    report = assemble(record, version="0.1.0", finished=finished, exit_code=1)
    failed = [clause.id for clause in report.clauses if clause.outcome == "fail"]
    failures = dict.fromkeys(failed, FAILURE)
    evidence = {clause_id: f"evidence/{evidence_name(clause_id)}.tar.gz" for clause_id in failed}
    return Sample(report, Beside(record.clauses, failures, evidence, drawings))


BUG = "https://github.com/istio/istio/issues/5785"
SOURCE = "An X.509 SVID MUST contain exactly one URI SAN, and by extension, exactly one SPIFFE ID."
FAILURE = (
    "def test_roots():\n>       assert roots == {spire}\n\x1b[31mE       AssertionError: 2 roots\x1b[0m\n" * 9
)


def draw(title: str, begin: datetime, end: datetime) -> str:
    def at(seconds: float) -> datetime:
        return begin + timedelta(seconds=seconds)

    load = per_second([at(n / 20) for n in range(700)], [Mark(at(21.5), "503 UF")] * 3)
    steps = (Mark(at(8), "edited"), Mark(at(9), "issued"), Mark(at(15), "mounted"), Mark(at(16), "served"))
    spans = (serial_span(at(0), at(18), "0a" * 8 + "aaaaaa"), serial_span(at(18), end, "0b" * 8 + "bbbbbb"))
    rows = tuple(Row(f"bookinfo/{name}-v1-7c7dbcbcf4-x2k9p", spans) for name in ("details", "reviews"))
    lanes = (
        Series("handshakes", load),
        Backdrop("faults", (Span(at(20), at(25), "pause-node"),)),
        Events("rotation", steps),
        Log("istiod", (Mark(at(15.5), "Update Istiod cacerts", "info: <Update> & more"),)),
        Spans("certificates", rows),
    )
    return timeline(title, begin, end, lanes)
