from __future__ import annotations

from datetime import UTC, datetime

from fixtures.probe.istiod import LogLine, in_order, parse_log

LOG = """\
2030-01-01T12:00:00.000001Z\tinfo\tUpdate Istiod cacerts
2030-01-01T12:00:00.250000Z\twarn\tca\twith a tab
goroutine 1 [running]:
{"level":"info"}

2030-01-01 12:00:00\tinfo\tanother form
2030-01-01T12:00:01.123456789Z\tinfo\tIstiod certificates are reloaded
"""


def lines(*texts: str) -> list[LogLine]:
    moment = datetime(2030, 1, 1, 12, tzinfo=UTC)
    return [LogLine(moment, "info", text) for text in texts]


def test_time_level_and_message_are_read() -> None:
    assert parse_log(LOG)[0] == LogLine(
        datetime(2030, 1, 1, 12, 0, 0, 1, tzinfo=UTC), "info", "Update Istiod cacerts"
    )


def test_tabs_may_stand_in_a_message() -> None:
    assert (parse_log(LOG)[1].level, parse_log(LOG)[1].text) == ("warn", "ca\twith a tab")


def test_lines_of_another_form_are_left_out() -> None:
    assert [line.text for line in parse_log(LOG)] == [
        "Update Istiod cacerts",
        "ca\twith a tab",
        "Istiod certificates are reloaded",
    ]


def test_nanoseconds_are_read_to_the_microsecond() -> None:
    assert parse_log(LOG)[-1].time == datetime(2030, 1, 1, 12, 0, 1, 123456, tzinfo=UTC)


def test_empty_log_has_no_lines() -> None:
    assert parse_log("") == []


def test_texts_are_found_in_their_order_among_others() -> None:
    log = lines("a 1", "x", "b 2", "y", "c 3")

    assert in_order(log, ("a", "b", "c")) == [log[0], log[2], log[4]]


def test_same_text_twice_takes_two_lines() -> None:
    log = lines("a 1", "a 2")

    assert in_order(log, ("a", "a")) == log
    assert in_order(log[:1], ("a", "a")) == "a"


def test_first_text_that_is_missing_after_those_before_is_named() -> None:
    assert in_order(lines("a", "c", "b"), ("a", "b", "c")) == "c"


def test_nothing_wanted_is_found_anywhere() -> None:
    assert in_order([], ()) == []
