from __future__ import annotations

import pytest

from fixtures.cluster.wait import wait_for
from fixtures.sabotage.meanwhile import LOOK, NotBrokenError, meanwhile


def never() -> None:
    wait_for(lambda: False, bool, condition="what never comes", timeout=LOOK)


def test_what_is_done_beside_the_block_is_done_when_it_ends() -> None:
    done: list[str] = []

    with meanwhile(lambda: done.append("struck")):
        pass

    assert done == ["struck"]


def test_a_break_that_never_took_place_is_told_of() -> None:
    with pytest.raises(NotBrokenError, match="what never comes"), meanwhile(never):
        pass


def test_what_failed_beside_the_block_fails() -> None:
    def fail() -> None:
        raise LookupError("no such pod")

    with pytest.raises(LookupError, match="no such pod"), meanwhile(fail):
        pass


def test_a_failure_of_the_block_ends_the_work_and_comes_first() -> None:
    with pytest.raises(ZeroDivisionError), meanwhile(never):
        raise ZeroDivisionError
