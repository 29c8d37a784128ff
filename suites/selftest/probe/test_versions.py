from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.cluster.kube import Kube
from fixtures.probe.versions import _say
from suites.selftest.cluster.commands import Commands

COMMAND = "exec ns/pod app app --version"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    table = Commands()
    monkeypatch.setattr(Kube, "exec", table.exec)
    return table


def said() -> dict[str, str]:
    kube = Kube(Path("/k"), "kind-mesh", Path("kubectl"))
    return _say(kube, "part", "ns", "pod", "app", "app", "--version")


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("1.13.3\n", "1.13.3"),
        ("v1.31.0-eed52ebb66ad\n", "1.31.0-eed52ebb66ad"),
        ("1.31-eed52ebb66ad-Clean\n", "1.31-eed52ebb66ad-Clean"),
        ("\nenvoy  version: 0a1b2c/1.39.0/Clean/RELEASE/BoringSSL\n", "1.39.0"),
        ("2030-01-01T12:00:00.123Z warn something\n1.13.3\n", "1.13.3"),
    ],
)
def test_version_is_read_from_the_last_line(printed: str, version: str, commands: Commands) -> None:
    commands.prints(COMMAND, printed)

    assert said() == {"part": version}


@pytest.mark.parametrize("printed", ["", "unknown\n"])
def test_part_that_does_not_tell_is_left_out(printed: str, commands: Commands) -> None:
    commands.prints(COMMAND, printed)

    assert said() == {}


def test_part_that_does_not_answer_is_left_out(commands: Commands) -> None:
    commands.fails(COMMAND, "container not found")

    assert said() == {}
