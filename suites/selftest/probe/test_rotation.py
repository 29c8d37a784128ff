from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fixtures.probe.istiod import LogLine
from fixtures.probe.rotation import RELOAD_LINES, Steps, missing_lines

EDITED = datetime(2030, 1, 1, 12, 0, 0, 900_000, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return EDITED + timedelta(seconds=seconds)


def test_steps_are_told_in_seconds_since_the_edit() -> None:
    steps = Steps(EDITED, after(1), after(20.126), after(21.5), after(22), after(24.25))

    assert steps.seconds() == {
        "issued": 1,
        "mounted": 20.13,
        "reloaded": 21.5,
        "served": 22,
        "first-workload": 24.25,
    }


def test_step_that_nobody_saw_is_left_out() -> None:
    assert "mounted" not in Steps(EDITED, after(1), None, after(2), after(3)).seconds()


def test_step_marked_to_the_second_is_never_before_the_edit() -> None:
    same_second = EDITED.replace(microsecond=0)

    assert Steps(EDITED, same_second, None, after(2), after(3)).seconds()["issued"] == 0


def test_end_of_a_reload_is_logged_by_two_goroutines_in_either_order() -> None:
    looked, layout, accepted, *served = (LogLine(EDITED, "info", text) for text in RELOAD_LINES)

    assert missing_lines([looked, layout, accepted, *served]) == []
    assert missing_lines([looked, layout, *served, accepted]) == []


@pytest.mark.parametrize("number", range(len(RELOAD_LINES)))
def test_every_line_of_a_reload_is_demanded(number: int) -> None:
    log = [LogLine(EDITED, "info", text) for text in RELOAD_LINES]
    del log[number]

    assert RELOAD_LINES[number] in " ".join(missing_lines(log))


def test_line_of_a_reload_out_of_its_place_is_missing() -> None:
    looked, *rest = (LogLine(EDITED, "info", text) for text in RELOAD_LINES)

    assert missing_lines([*rest, looked])
