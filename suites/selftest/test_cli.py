"""`python -m fixtures`, and the options of pytest, as far as they need no engine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fixtures.build import builder
from fixtures.cli import main
from fixtures.cluster import engine
from fixtures.cluster.run import CommandError, run
from fixtures.setup import home_of
from suites.selftest.cluster.commands import Commands

ROOT = Path(__file__).parents[2]
COMMANDS = ("doctor", "build", "up", "audit", "down", "clean")


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Commands:
    """A machine with a docker client, no engine that answers, no Go, and a user without rights."""
    table = Commands()
    for module in (builder, engine):
        monkeypatch.setattr(module, "run", table)
    monkeypatch.setattr(engine, "_clients", lambda: ["docker"])
    monkeypatch.setattr(engine, "SOCKET", tmp_path / "docker.sock")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    table.fails("docker info --format '{{json .}}'", "Cannot connect")
    table.fails("go env GOVERSION", "No such file or directory: 'go'")
    return table


@pytest.mark.parametrize("words", [[], *([command] for command in COMMANDS)], ids=["all", *COMMANDS])
def test_help_is_given_for_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*words, "--help"])

    assert caught.value.code == 0
    assert "usage: python -m fixtures" in capsys.readouterr().out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    out = capsys.readouterr().out
    assert all(f"\n    {command} " in out for command in COMMANDS)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["raise"],
        ["up", "--colour"],
        ["down", "--pace", "fast"],
        ["up", "--pace", "slow"],
        ["up", "--nodes", "x"],
    ],
    ids=["nothing", "command", "option", "option-of-another", "value", "number"],
)
def test_unknown_words_are_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)

    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["doctor", "build", "up"])
def test_unknown_stack_is_one_line_with_the_known_ones(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--stack", "curent"]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("UsageError: --stack curent: no such file; known stacks: ")
    assert "current" in line


def test_wrong_scale_of_timeouts_is_one_line(
    bare_machine: Commands, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHPROOF_TIMEOUT_SCALE", "slow")

    assert main(["doctor"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_doctor_names_what_is_missing_and_changes_nothing(
    bare_machine: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 3

    rows = capsys.readouterr().out.splitlines()
    assert any(row.startswith("STOP  engine   none answers: install Docker") for row in rows)
    assert any(row.startswith("STOP  go ") for row in rows)
    assert {call.split()[0] for call in bare_machine.calls} == {"docker", "go"}


def test_where_no_engine_can_be_had_the_exit_code_says_so(
    bare_machine: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build"]) == 10
    assert capsys.readouterr().err.startswith("EngineError: no container engine answers")


def test_taking_down_where_there_is_nothing_is_fine(
    bare_machine: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["down"]) == 0
    assert "there is no cluster to remove" in capsys.readouterr().out


def test_cluster_of_ours_is_not_called_gone_because_its_engine_is_stopped(
    bare_machine: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    home = home_of("kept")
    home.folder.mkdir(parents=True)
    home.owner.write_text('{"nodes": ["a1"], "kept": true}')

    assert main(["down", "--cluster-name", "kept"]) == 10

    said = capsys.readouterr()
    assert "the kind cluster 'kept' was made here" in said.out
    assert said.err.startswith("EngineError: no container engine answers")
    assert home.owner.exists()


def test_pytest_refuses_wrong_options_before_it_collects() -> None:
    words = ("-m", "pytest", "-p", "no:cacheprovider", "--stack", "curent", "suites/selftest/test_cli.py")

    with pytest.raises(CommandError) as caught:
        run([sys.executable, *words], timeout=60, cwd=ROOT)

    assert caught.value.returncode == 4
    assert "--stack curent: no such file; known stacks: current" in caught.value.stderr
    assert "Traceback" not in str(caught.value)
