"""Actions and probes for journals of the real Chaos Toolkit; they touch nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

_answers: Iterator[bool] = iter(())


def touch(what: list[str]) -> list[str]:
    """Report a list as touched."""
    return what


def keep_silent() -> None:
    """Report nothing, as actions of other people's extensions do."""


def fail() -> list[str]:
    """Fail, as an action without the right to do what it wants."""
    raise PermissionError("forbidden")


def interrupt() -> list[str]:
    """Do as if somebody pressed Ctrl-C."""
    raise KeyboardInterrupt


def leave() -> list[str]:
    """Exit in the middle of an action."""
    raise SystemExit(1)


def say(what: bool) -> bool:
    """Answer as told."""
    return what


def will_answer(*answers: bool) -> None:
    """Set what `answer` says in turn; the last answer is repeated."""
    global _answers
    _answers = itertools.chain(answers, itertools.repeat(answers[-1]))


def answer() -> bool:
    """Say what is next."""
    return next(_answers)
