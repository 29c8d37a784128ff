from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fixtures.probe.istiod import LogLine, in_order
from fixtures.probe.rotation import RELOAD_LINES, Steps

EDITED = datetime(2030, 1, 1, 12, 0, 0, 900_000, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return EDITED + timedelta(seconds=seconds)


def test_steps_are_told_in_seconds_since_the_edit() -> None:
    steps = Steps(EDITED, after(1), after(20.126), after(21.5), after(22))

    assert steps.seconds() == {"issued": 1, "mounted": 20.13, "reloaded": 21.5, "served": 22}


def test_step_that_nobody_saw_is_left_out() -> None:
    assert "mounted" not in Steps(EDITED, after(1), None, after(2), after(3)).seconds()


def test_step_marked_to_the_second_is_never_before_the_edit() -> None:
    same_second = EDITED.replace(microsecond=0)

    assert Steps(EDITED, same_second, None, after(2), after(3)).seconds()["issued"] == 0


def test_log_of_a_reload_has_the_lines_in_their_order() -> None:
    log = [LogLine(EDITED, "info", f"{text} ...") for text in RELOAD_LINES]

    assert in_order(log, RELOAD_LINES) == log
    assert in_order(log[:-1], RELOAD_LINES) == RELOAD_LINES[-1]
