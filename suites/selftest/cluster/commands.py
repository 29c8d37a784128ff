"""Stands in for `fixtures.cluster.run.run` and `Kube.exec`: a table from commands to what they print."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

import pytest

from fixtures.cluster.engine import Engine
from fixtures.cluster.run import CommandError

DOCKER = Engine("", "docker", "27.0")
PRIVATE = Engine("", "docker", "27.0", private=True)


class Commands:
    """Answers the commands of its table, remembers them, and fails the test at any other."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, ...], str | CommandError] = {}
        self.calls: list[str] = []
        self.stdin: list[str | None] = []

    def prints(self, command: str, output: str = "") -> None:
        """Let a command succeed."""
        self.answers[tuple(shlex.split(command))] = output

    def fails(self, command: str, stderr: str = "") -> None:
        """Let a command fail."""
        words = tuple(shlex.split(command))
        self.answers[words] = CommandError(words, 1, "", stderr)

    def __call__(
        self, argv: Sequence[str | os.PathLike[str]], *, stdin: str | None = None, **_: object
    ) -> str:
        """Answer, in the place of `run`."""
        words = tuple(os.fspath(word) for word in argv)
        self.calls.append(shlex.join(words))
        self.stdin.append(stdin)
        if words not in self.answers:
            pytest.fail(f"unhandled command: {shlex.join(words)}")
        answer = self.answers[words]
        if isinstance(answer, CommandError):
            raise answer
        return answer

    def exec(self, namespace: str, pod: str, container: str, *argv: str, **_: object) -> str:
        """Answer, in the place of `Kube.exec`."""
        return self(["exec", f"{namespace}/{pod}", container, *argv])
