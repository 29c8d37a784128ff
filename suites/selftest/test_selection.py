from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from fixtures.cluster.run import CommandError, run

ROOT = Path(__file__).parents[2]


def collected(*words: str) -> list[str]:
    """Collect as a user would, and give the names of the tests that would run."""
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *words]
    text = run(argv, timeout=60, cwd=ROOT)
    return re.findall(r"^suites/\S+::(\S+)$", text, re.MULTILINE)


def test_named_clauses_are_all_that_runs() -> None:
    assert collected("suites/trust", "--clauses=trust/chain-depth,trust/webhook-ca-agrees") == [
        "test_chain_depth",
        "test_webhook_ca_agrees",
    ]


def test_sabotage_none_leaves_nothing_of_it() -> None:
    assert collected("suites/trust", "suites/sabotage", "--sabotage=none", "-k", "depth or trace") == [
        "test_chain_depth"
    ]


def test_a_named_break_comes_with_what_goes_before_and_after_it() -> None:
    assert collected("suites/sabotage", "--sabotage=permissive") == [
        "test_nothing_broken_turns_nothing_red",
        "test_break[permissive]",
        "test_sabotage_leaves_no_trace",
        "test_every_clause_can_fail",
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--clauses=trust/chain-length",), "--clauses: there is no trust/chain-length"),
        (("--sabotage=never-made",), "--sabotage: no never-made; there are tenth, all, none,"),
    ],
)
def test_what_does_not_exist_is_refused(words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(CommandError) as refused:
        collected("suites/trust", "suites/sabotage", *words)

    assert refused.value.returncode == pytest.ExitCode.USAGE_ERROR
    assert reason in refused.value.stderr
