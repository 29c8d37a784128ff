from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from fixtures.chaos.history import Operation
from fixtures.chaos.load_checks import Seen, Step
from fixtures.chaos.pictures import Notes, draw, draw_experiment
from fixtures.chaos.windows import Window
from fixtures.pki import TrustBundle, mint, serial_hex
from fixtures.probe.istiod import LogLine
from fixtures.probe.samples import Recording, Spell, Track
from fixtures.probe.sds import ProxySvid

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


END = BEGIN + timedelta(seconds=60)
OUTAGE = Window("spire-server-outage", BEGIN + timedelta(seconds=3), BEGIN + timedelta(seconds=20), True)
ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
LEAF = mint.leaf(mint.intermediate(ROOT))
BUNDLE = TrustBundle((ROOT.cert,))
RECORDING = Recording(
    BEGIN,
    END,
    (
        Track(
            *("bookinfo/client-x", BEGIN, True, False),
            *((Spell(ProxySvid(LEAF.chain, BUNDLE, ("example.org",)), BEGIN, END),), 60, ()),
        ),
    ),
    Track("spire/spire-bundle", BEGIN, True, False, (Spell(BUNDLE, BEGIN, END),), 60, ()),
)


def test_an_experiment_is_drawn_with_its_faults_losses_moments_and_certificates() -> None:
    moments = {"first certificate expires": BEGIN + timedelta(seconds=48), "all renewed": None}
    history = (operation(1), operation(2, outcome="fail"))
    text = text_of(draw_experiment("outage", BEGIN, END, history, [OUTAGE], moments, RECORDING))

    assert "spire-server-outage 12:00:03.000 to 12:00:20.000" in text
    assert "TLS_error" in text
    assert "client to old-guard: 1 ok, 1 lost" in text
    assert "first certificate expires" in text
    assert "all renewed" not in text
    assert "bookinfo/client-x" in text
    assert serial_hex(LEAF.cert) in text


def test_a_fault_that_was_never_over_lasts_until_the_end_of_the_picture() -> None:
    endless = Window("deny-requests", BEGIN + timedelta(seconds=3), None, True)
    text = text_of(draw_experiment("denied", BEGIN, END, (), [endless], {}, None))

    assert "deny-requests, 12:00:03.000 to 12:01:02.000" in text
    assert "never known to be over" in text


def test_an_experiment_of_which_nothing_is_known_says_so() -> None:
    text = text_of(draw_experiment("nothing", BEGIN, END, (), [], {}, None))
    assert text.count("nothing recorded") == 3


def test_each_hop_has_a_lane_in_the_order_of_a_request() -> None:
    onwards = replace(operation(1.1), caller="old-guard", target="archive")
    one, other = (
        draw_experiment("hops", BEGIN, END, history, [], {}, None)
        for history in ((operation(1), onwards), (onwards, operation(1)))
    )
    assert one == other
    assert text_of(one).index("client to old-guard") < text_of(one).index("old-guard to archive")
