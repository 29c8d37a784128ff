from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from fixtures.report.model import ClauseResult, ConformanceReport

Session = Callable[..., ConformanceReport]


def clause(report: ConformanceReport, clause_id: str) -> ClauseResult:
    return next(each for each in report.clauses if each.id == clause_id)


def outcome(report: ConformanceReport, clause_id: str) -> tuple[str, str | None]:
    result = clause(report, clause_id)
    return result.outcome, result.message


def test_a_good_run_ships(session: Session) -> None:
    report = session("")
    assert (report.verdict, report.reason) == ("ship", "1 core clause passed")
    assert report.run.exit_code == 0
    assert report.suite.version == "0.1.0"


@pytest.mark.parametrize(
    ("decorators", "arguments", "body", "code", "expected"),
    [
        pytest.param("", "", "assert 1 == 2, 'two\\nlines'", 1, ("fail", "AssertionError: two"), id="failed"),
        pytest.param("", "broken", "pass", 1, ("unknown", "OSError: no cluster"), id="setup-error"),
        pytest.param("", "broken_after", "pass", 1, ("unknown", "OSError: stuck"), id="teardown-error"),
        pytest.param(
            "",
            "broken_after",
            "raise AssertionError('first')",
            1,
            ("fail", "AssertionError: first"),
            id="teardown-error-does-not-hide-the-failure",
        ),
        pytest.param(
            "",
            "",
            "raise NothingObserved('no request')",
            1,
            ("unknown", "fixtures.report.outcomes.NothingObserved: no request"),
            id="nothing-observed",
        ),
        pytest.param(
            "@pytest.mark.xfail(reason='istio#1')",
            "",
            "assert 0",
            0,
            ("known-gap", "istio#1"),
            id="xfail",
        ),
        pytest.param("", "", "pytest.xfail('istio#1')", 0, ("known-gap", "istio#1"), id="xfail-in-the-body"),
        pytest.param(
            "@pytest.mark.xfail(reason='istio#1')",
            "",
            "pass",
            1,
            ("fail", "[XPASS(strict)] istio#1"),
            id="xpass",
        ),
        pytest.param(
            "@pytest.mark.xfail(reason='istio#1')",
            "broken",
            "assert 0",
            0,
            ("unknown", "OSError: no cluster"),
            id="xfail-does-not-excuse-a-broken-fixture",
        ),
        pytest.param(
            "@pytest.mark.xfail(reason='istio#1', raises=ValueError)",
            "",
            "raise AssertionError('other')",
            1,
            ("fail", "AssertionError: other"),
            id="xfail-for-another-reason",
        ),
        pytest.param("", "", "pytest.skip('by hand')", 0, ("skipped", "by hand"), id="skip"),
        pytest.param(
            "@pytest.mark.skip(reason='NOT_SUPPORTED: no x')",
            "",
            "pass",
            0,
            ("not-supported", "NOT_SUPPORTED: no x"),
            id="not-supported",
        ),
        pytest.param(
            "",
            "subtests",
            "\n    with subtests.test('a'): assert 0, 'sub'",
            1,
            ("fail", "AssertionError: sub"),
            id="subtest-failed",
        ),
    ],
)
def test_what_pytest_says_becomes_an_outcome(
    session: Session,
    decorators: str,
    arguments: str,
    body: str,
    code: int,
    expected: tuple[str, str],
) -> None:
    report = session(
        f'@conformance(id="wire/a")\n{decorators}\ndef test_a({arguments}):\n    """A."""\n    {body}\n',
        code=code,
    )
    kind, message = outcome(report, "wire/a")
    assert kind == expected[0]
    assert message is not None
    assert message.startswith(expected[1])
    verdicts = {"fail": "do-not-ship", "known-gap": "ship"}
    assert report.verdict == verdicts.get(kind, "unknown")


def test_parameters_are_one_clause(session: Session) -> None:
    report = session(
        '@pytest.mark.parametrize("n", [0, 1, 2])\n@conformance(id="wire/a")\n'
        'def test_a(n):\n    """A."""\n    assert n == 0, "not null"\n',
        code=1,
    )
    kind, message = outcome(report, "wire/a")
    assert (kind, message) == ("fail", "[1] AssertionError: not null (and 1 more)")


def test_ctrl_c_leaves_a_report_that_never_ships(session: Session) -> None:
    report = session(
        '@conformance(id="wire/a")\ndef test_a():\n    """A."""\n    raise KeyboardInterrupt\n'
        '@conformance(id="wire/b")\ndef test_b():\n    """B."""\n',
        code=2,
    )
    assert report.verdict == "unknown"
    assert outcome(report, "identity/fine") == ("pass", None)
    assert outcome(report, "wire/a") == (
        "unknown",
        "not finished: the session ended in the middle of it",
    )
    assert outcome(report, "wire/b") == ("unknown", "not run: the session ended before it")


def test_ctrl_c_in_the_last_teardown_never_ships(session: Session) -> None:
    report = session(
        "@pytest.fixture\ndef slow():\n    yield\n    raise KeyboardInterrupt\n"
        '@conformance(id="wire/a", level="extended")\ndef test_a(slow):\n    """A."""\n',
        code=2,
    )
    assert (report.verdict, report.reason) == ("unknown", "the run ended early (exit code 2)")


def test_stopping_at_the_first_failure_leaves_the_rest_unknown(session: Session) -> None:
    report = session(
        'def test_stray():\n    assert 0\n@conformance(id="wire/b")\ndef test_b():\n    """B."""\n',
        "-x",
        code=1,
    )
    assert report.verdict == "unknown"
    assert outcome(report, "wire/b")[0] == "unknown"


def test_a_test_without_a_clause_cannot_fail_in_silence(session: Session) -> None:
    report = session("def test_stray():\n    assert 0\n", code=1)
    assert report.verdict == "unknown"
    (nodeid,) = report.run.other_failures
    assert nodeid.endswith("::test_stray")


def test_what_was_deselected_is_skipped(session: Session) -> None:
    report = session(
        '@pytest.mark.parametrize("n", ["one", "two"])\n@conformance(id="wire/a")\n'
        'def test_a(n):\n    """A."""\n',
        "-k",
        "fine or one",
    )
    assert report.verdict == "unknown"
    assert outcome(report, "identity/fine")[0] == "pass"
    assert outcome(report, "wire/a") == ("skipped", "[two] deselected")


def test_an_empty_run_never_ships(session: Session) -> None:
    report = session("", "-k", "nonesuch", code=5)
    assert report.verdict == "unknown"
    assert report.profiles[0].core.statistics.passed == 0


def test_a_collection_error_never_ships(session: Session) -> None:
    report = session("raise ImportError\n", code=2)
    assert report.verdict == "unknown"
    assert report.clauses == []


def test_a_usage_error_leaves_an_unknown_report(session: Session) -> None:
    report = session('@conformance(id="Wire")\ndef test_a():\n    """A."""\n', code=4)
    assert (report.verdict, report.clauses) == ("unknown", [])


# As an answer of the cluster may be, taken into the report by mistake.
LEAK = """
import base64, json

def part(text):
    return base64.urlsafe_b64encode(json.dumps(text).encode()).decode().rstrip("=")

def test_leak(pytestconfig):
    token = ".".join([part({"alg": "RS256"}), part({"sub": "spire"}), "0a1b2c3d" * 8])
    pytestconfig.stash[RUN_RECORD].stack["answer"] = "told " + token
"""


def test_a_secret_in_the_report_fails_the_run_and_is_never_said(
    session: Session, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    report = session(LEAK, code=1)
    assert report.verdict == "unknown"
    assert report.run.exit_code == 1
    found = {each.partition("[")[2].partition(":")[0] for each in report.run.other_failures}
    assert found == {"report.yaml", "report.md", "report.html", "allure-results/environment.properties"}
    said = capsys.readouterr().out
    assert re.search(r"(?m)^secret    out/report\.yaml:\d+: a token$", said)
    assert "0a1b2c3d" not in said + "".join(report.run.other_failures)


SEVERAL = """
RUN = []

@conformance(id="wire/a")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a(number):
    \"\"\"A.\"\"\"
    RUN.append(number)
    assert number != 2, RUN

@conformance(id="wire/b")
def test_b():
    \"\"\"B.\"\"\"
    assert RUN == {expected}
"""


@pytest.mark.parametrize(
    ("options", "expected"), [([], [1, 2, 3]), (["--red-is-enough"], [1, 2])], ids=["all", "until-red"]
)
def test_where_red_is_enough_no_more_of_a_clause_is_proved(
    session: Session, options: list[str], expected: list[int]
) -> None:
    report = session(SEVERAL.replace("{expected}", str(expected)), *options, code=1)

    assert outcome(report, "wire/a") == ("fail", "[2] AssertionError: [1, 2]")
    assert outcome(report, "wire/b") == ("pass", None)


def test_a_secret_in_the_evidence_is_found_and_changes_no_failure(session: Session) -> None:
    report = session(
        """
def collect(clause_id, folder):
    (folder / "log.txt").write_text("one\\nAuthorization: Bearer 0a1b2c3d4e5f60718293\\n")

@conformance(id="wire/a")
def test_a(pytestconfig):
    \"\"\"A.\"\"\"
    pytestconfig.stash[RUN_RECORD].on_failure.append(collect)
    assert 0
""",
        code=1,
    )
    assert report.verdict == "do-not-ship"
    assert report.run.other_failures == [
        "no secret in the report [evidence/wire-a.tar.gz:wire-a/log.txt:2: a token]"
    ]


def test_a_run_that_ended_early_stays_one_whatever_is_found(session: Session) -> None:
    report = session(LEAK + "    raise KeyboardInterrupt\n", code=2)
    assert report.run.exit_code == 2
    assert report.run.other_failures
