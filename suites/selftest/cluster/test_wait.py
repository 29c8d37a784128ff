from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from fixtures.cluster.wait import WaitFailedError, WaitTimeoutError, wait_for


def answers(*values: int | Exception) -> Callable[[], int]:
    """Give one value, or raise one error, per observation."""
    rest = iter(values)

    def observe() -> int:
        value = next(rest)
        if isinstance(value, Exception):
            raise value
        return value

    return observe


def is_three(seen: int) -> bool:
    return seen == 3


def test_the_observation_that_was_wanted_is_returned() -> None:
    assert wait_for(answers(1, 2, 3, 4), is_three, condition="three", timeout=5, delay=0) == 3


def test_there_is_one_observation_even_without_time() -> None:
    assert wait_for(answers(3), is_three, condition="three", timeout=0) == 3


def test_successes_must_come_in_a_row() -> None:
    observe = answers(3, 1, 3, 3, 1, 3, 3, 3)

    wait_for(observe, is_three, condition="three", timeout=5, delay=0, successes=3)

    with pytest.raises(StopIteration):
        observe()


def test_transient_error_breaks_the_row() -> None:
    observe = answers(3, ConnectionError(), 3, 3)

    wait_for(observe, is_three, condition="c", timeout=5, delay=0, successes=2, transient=(ConnectionError,))

    with pytest.raises(StopIteration):
        observe()


def test_reason_why_it_can_never_come_true_ends_the_wait() -> None:
    def error(seen: int) -> str | None:
        return "gone too far" if seen > 3 else None

    with pytest.raises(WaitFailedError) as caught:
        wait_for(answers(1, 5), is_three, condition="it is three", timeout=5, delay=0, error=error)

    assert (caught.value.reason, caught.value.last) == ("gone too far", 5)
    assert str(caught.value) == "it is three: gone too far; last seen: 5"


def test_what_is_wanted_wins_over_a_reason_to_give_up() -> None:
    assert wait_for(lambda: 3, is_three, condition="c", timeout=5, error=lambda _: "never") == 3


def test_timeout_carries_the_last_observation() -> None:
    with pytest.raises(WaitTimeoutError) as caught:
        wait_for(lambda: "almost", lambda _: False, condition="it is done", timeout=0.01, delay=0.005)

    assert caught.value.last == "almost"
    assert str(caught.value) == "not within 0 s: it is done; last seen: almost"


def test_timeout_carries_the_last_error() -> None:
    problem = ConnectionError("refused")

    with pytest.raises(WaitTimeoutError) as caught:
        wait_for(answers(1, problem), is_three, condition="c", timeout=0.05, delay=0.04, transient=(OSError,))

    assert caught.value.last is problem


def test_named_errors_are_tolerated() -> None:
    observe = answers(ConnectionError(), 3)

    assert wait_for(observe, is_three, condition="c", timeout=5, delay=0, transient=(OSError,)) == 3


def test_other_errors_pass_through_at_once() -> None:
    observe = answers(KeyError("typo"), 3)

    with pytest.raises(KeyError):
        wait_for(observe, is_three, condition="c", timeout=5, delay=0, transient=(OSError,))


def test_errors_of_the_predicate_are_never_tolerated() -> None:
    def ready(_: int) -> bool:
        raise OSError("a bug of ours")

    with pytest.raises(OSError, match="a bug of ours"):
        wait_for(lambda: 1, ready, condition="c", timeout=5, delay=0, transient=(OSError,))


def test_only_changes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "fixtures.cluster.wait"):
        wait_for(answers(1, 1, 1, 2, 2, 1, 3), is_three, condition="three", timeout=5, delay=0)

    assert caplog.messages == [f"waiting: three; seen: {n}" for n in (1, 2, 1)]


def test_a_long_observation_is_shown_by_its_ends() -> None:
    with pytest.raises(WaitTimeoutError) as caught:
        wait_for(lambda: "a" * 5000 + "the end", lambda _: False, condition="c", timeout=0)

    assert len(str(caught.value)) < 1600
    assert str(caught.value).endswith("the end")
