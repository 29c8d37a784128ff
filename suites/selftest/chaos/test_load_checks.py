from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fixtures.chaos import load_checks
from fixtures.chaos.checks import Counters, Outcome, merge
from fixtures.chaos.history import Operation
from fixtures.chaos.load_checks import Handshakes, LoadName, Seen, Step, judge

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOP = ("client", "old-guard")
KEY = (*HOP, "10.0.0.1:9080")
ID = "spiffe://example.org/ns/istiod-issued/sa/old-guard"
GROW = Step("grow", NOON + 2 * SECOND, NOON + 4 * SECOND)

OK = Operation(NOON, *HOP, "ok", 200, "", "", 1, ID, "5e", "r1")
LOST = replace(
    OK, time=NOON + 3 * SECOND, outcome="fail", code=503, flags="UF", reason="TLS_error", peer_id=""
)


def history(*, rate: int = 100, seconds: int = 10) -> tuple[Operation, ...]:
    """Requests at a steady rate, all of them answered."""
    return tuple(
        replace(OK, time=NOON + SECOND * place / rate, request_id=f"r{place}")
        for place in range(rate * seconds)
    )


def seen(load: LoadName = "handshakes", **deviations: object) -> Seen:
    """A load of which all is well, but for what is named."""
    counted = Counters(1, 1000) if load == "stream" else Counters(1000, 1000)
    values: dict[str, Any] = {
        "load": load,
        "hop": HOP,
        "peer": ID,
        "begin": NOON,
        "end": NOON + 10 * SECOND,
        "codes": {200: 1000},
        "history": history(),
        "counters": ({}, {KEY: counted}),
        "handshakes": (Handshakes(5, 3), Handshakes(1005, 3)) if load == "handshakes" else None,
    }
    return Seen(**{**values, **deviations})


def outcomes(one: Seen, steps: tuple[Step, ...] = (GROW,)) -> dict[str, Outcome]:
    """What did not pass."""
    return {
        result.check.partition("/")[2]: result.outcome
        for result in judge([one], steps)
        if result.outcome != "pass"
    }


@pytest.mark.parametrize("load", ["handshakes", "pooled", "stream"])
def test_a_load_of_which_all_is_well_passes(load: LoadName) -> None:
    results = judge([seen(load)], (GROW,))

    assert merge(results) == "pass", "\n".join(map(str, results))
    assert {result.check.partition("/")[0] for result in results} == {load}


def test_a_loss_is_told_with_its_second_and_its_step() -> None:
    later = replace(LOST, time=NOON + 5 * SECOND)
    result = load_checks.no_loss_between_proxies(seen(history=(OK, LOST, LOST, later)), (GROW,))

    assert result.outcome == "fail"
    assert result.reasons == (
        "3 of 4 lost",
        "2x at 12:00:03, in grow: 503 UF TLS_error",
        "1x at 12:00:05, between steps: 503 UF TLS_error",
    )


def test_a_loss_that_only_the_user_saw_is_a_loss() -> None:
    one = seen(codes={200: 999, -1: 1})

    assert outcomes(one) == {"no-loss-for-the-user": "fail"}
    assert one.lost == 1


def test_a_loss_is_counted_once_where_both_saw_it() -> None:
    *answered, last = history()
    lost = replace(LOST, time=last.time)
    one = seen(codes={200: 998, 503: 2}, history=(*answered[:-1], lost, lost))

    assert one.lost == 2
    assert outcomes(one) == {"no-loss-for-the-user": "fail", "no-loss": "fail"}


@pytest.mark.parametrize(
    ("kept", "begin"),
    [(range(400, 1000), NOON), (range(600), NOON), ([*range(300), *range(700, 1000)], NOON)],
    ids=["at-the-begin", "at-the-end", "in-the-middle"],
)
def test_a_stall_is_a_loss(kept: list[int], begin: datetime) -> None:
    all_of_them = history()
    stalled = tuple(all_of_them[place] for place in kept)
    one = seen("stream", history=stalled, codes={200: len(stalled)}, counters=({}, {KEY: Counters(1, 600)}))

    result = load_checks.no_stall(one, (GROW,))

    assert result.outcome == "fail"
    assert result.reasons[0].startswith("nothing for 4.0 s from 12:00:0")
    assert outcomes(one)["no-stall"] == "fail"


def test_a_stall_is_told_with_its_step() -> None:
    gap = tuple(one for one in history() if not GROW.begin < one.time < GROW.end + 2 * SECOND)
    (reason,) = load_checks.no_stall(seen(history=gap), (GROW,)).reasons

    assert reason == "nothing for 4.0 s from 12:00:02 on, in grow"


def test_requests_that_end_after_the_load_was_told_to_stop_are_no_stall() -> None:
    assert load_checks.no_stall(seen(end=NOON + 9 * SECOND), (GROW,)).outcome == "pass"


def test_a_retry_that_works_is_no_success() -> None:
    retried = (replace(OK, attempts=2), *history()[1:])

    assert outcomes(seen(history=retried)) == {"retries": "fail"}
    assert seen(history=retried).retries == 1


def test_a_record_with_holes_is_not_called_complete() -> None:
    assert outcomes(seen(history=history()[:-1])) == {"load-counted": "fail"}


def test_a_step_in_which_nothing_was_answered_is_unknown() -> None:
    late = Step("subject", NOON + 60 * SECOND, NOON + 70 * SECOND)

    assert outcomes(seen(), (GROW, late)) == {"seen-in-every-step": "unknown"}
    assert outcomes(seen(), ()) == {"seen-in-every-step": "unknown"}


def test_an_answer_by_somebody_else_fails() -> None:
    rogue = (replace(OK, peer_id="spiffe://example.org/ns/x/sa/rogue"), *history()[1:])

    assert outcomes(seen(history=rogue)) == {"expected-peers": "fail"}


def test_an_answer_without_a_clients_certificate_fails() -> None:
    plain = (replace(OK, peer_serial=""), *history()[1:])

    assert outcomes(seen(history=plain)) == {"both-ends-logged": "fail"}


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (Handshakes(1005, 3), "pass"),
        (Handshakes(1009, 3), "pass"),
        (Handshakes(1005, 4), "fail"),
        (Handshakes(1004, 3), "fail"),
        (Handshakes(4, 0), "unknown"),
    ],
    ids=["each", "others-too", "resumed", "too-few", "begun-anew"],
)
def test_only_whole_handshakes_count(after: Handshakes, outcome: Outcome) -> None:
    found = load_checks.full_handshakes(seen(handshakes=(Handshakes(5, 3), after)))

    assert found.outcome == outcome


def test_handshakes_that_nobody_counted_are_unknown() -> None:
    assert outcomes(seen(handshakes=None)) == {"full-handshakes": "unknown"}


def test_pooled_connections_are_no_handshakes() -> None:
    none: dict[tuple[str, str, str], Counters] = {}
    pooled = (none, {KEY: Counters(4, 1000)})

    assert outcomes(seen(counters=pooled)) == {"every-request-a-handshake": "fail"}
    assert outcomes(seen("pooled", counters=pooled)) == {}


def test_a_slow_load_proves_less_than_was_claimed() -> None:
    slow = history(rate=99)
    one = seen(
        codes={200: 990},
        history=slow,
        counters=({}, {KEY: Counters(990, 990)}),
        handshakes=(Handshakes(0, 0), Handshakes(990, 0)),
    )

    assert one.rate == 99.0
    assert outcomes(one) == {"rate": "unknown"}


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        (None, Counters(1, 1000), "pass"),
        (Counters(1, 7), Counters(1, 1007), "pass"),
        (Counters(1, 7), Counters(3, 1007), "fail"),
        (Counters(1, 7), Counters(1, 600), "fail"),
        (Counters(9, 7), Counters(1, 1007), "fail"),
    ],
    ids=["new", "went-on", "made-anew", "cluster-made-anew", "counted-anew"],
)
def test_the_stream_keeps_its_connection(before: Counters | None, after: Counters, outcome: Outcome) -> None:
    counters = ({KEY: before} if before else {}, {KEY: after})

    assert load_checks.kept_its_connection(seen("stream", counters=counters)).outcome == outcome


def test_a_load_generator_that_says_nothing_leaves_it_unknown() -> None:
    found = outcomes(seen(codes=None))

    assert set(found.values()) == {"unknown"}
    assert {"no-loss-for-the-user", "load-counted", "rate"} <= found.keys()


def test_nothing_at_all_never_passes() -> None:
    found = judge([seen("stream", codes={}, history=(), counters=({}, {}))], (GROW,))

    assert {result.outcome for result in found} == {"unknown"}
