from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from fixtures.chaos.history import Operation
from fixtures.chaos.load_checks import Seen, Step
from fixtures.chaos.pictures import Notes, draw
from fixtures.probe.istiod import LogLine

BEGIN = datetime(2030, 1, 1, 12, tzinfo=UTC)
STEP = Step("grow", BEGIN, BEGIN + timedelta(seconds=10))


def operation(seconds: float, *, serial: str = "aa11aa11", outcome: str = "ok") -> Operation:
    failed = outcome == "fail"
    return Operation(
        time=BEGIN + timedelta(seconds=seconds),
        caller="client",
        target="old-guard",
        outcome="fail" if failed else "ok",
        code=503 if failed else 200,
        flags="UF" if failed else "",
        reason="TLS_error" if failed else "",
        attempts=1,
        peer_id="",
        peer_serial="" if failed else serial,
        request_id=str(seconds),
    )


def seen(*operations: Operation) -> Seen:
    return Seen(
        "handshakes", ("client", "old-guard"), "", BEGIN, STEP.end, {200: 1}, tuple(operations), ({}, {})
    )


def text_of(svg: str) -> str:
    return " ".join(ElementTree.fromstring(svg).itertext())


def test_loss_is_drawn_with_its_reason() -> None:
    assert "TLS_error" in text_of(draw(STEP, [seen(operation(1), operation(2, outcome="fail"))]))


def test_loss_of_another_step_is_not_in_this_picture() -> None:
    assert "TLS_error" not in text_of(draw(STEP, [seen(operation(1), operation(60, outcome="fail"))]))


def test_each_serial_on_the_wire_has_a_span() -> None:
    text = text_of(
        draw(STEP, [seen(operation(1), operation(4), operation(5, serial="bb22cc33"), operation(9))])
    )

    assert "client to old-guard" in text
    assert "22cc33" in text


def test_moments_and_log_lines_are_drawn() -> None:
    at = BEGIN + timedelta(seconds=3)
    log = [LogLine(at, "info", "Update Istiod cacerts"), LogLine(at, "info", "ads\tPush")]
    notes = Notes()
    notes.add({"reloaded": at, "mounted": None}, log)

    text = text_of(draw(STEP, [seen(operation(1))], notes))

    assert "reloaded" in text
    assert "mounted" not in text
    assert "Push" not in text
    assert "Update Istiod cacerts" in text


def test_step_under_no_load_says_so() -> None:
    assert "nothing recorded" in text_of(draw(STEP, [seen()]))
