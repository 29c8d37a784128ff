from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.report.model import ConformanceReport, from_yaml

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
