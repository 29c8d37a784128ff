from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fixtures.chaos import load_checks
from fixtures.chaos.checks import Counters, Outcome, Result, merge
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


LATE = Step("subject", NOON + 60 * SECOND, NOON + 70 * SECOND)
STREAM = Counters(1, 1000)
UNTOLD = ("the load generator did not say what it sent",)
WORDS: dict[str, tuple[Callable[[], Result], Result]] = {
    "user": (
        lambda: load_checks.no_loss_for_the_user(seen(codes={204: 3, 200: 997})),
        Result("no-loss-for-the-user", "pass", ("0 of 1000 lost",)),
    ),
    "user-lost": (
        lambda: load_checks.no_loss_for_the_user(seen(codes={503: 2, -1: 1, 300: 1, 199: 4, 299: 1})),
        Result("no-loss-for-the-user", "fail", ("8 of 9 lost", "1x -1", "4x 199", "1x 300", "2x 503")),
    ),
    "user-untold": (
        lambda: load_checks.no_loss_for_the_user(seen(codes=None)),
        Result("no-loss-for-the-user", "unknown", UNTOLD),
    ),
    "user-nothing": (
        lambda: load_checks.no_loss_for_the_user(seen(codes={200: 0})),
        Result("no-loss-for-the-user", "unknown", ("nothing was sent",)),
    ),
    "proxies": (
        lambda: load_checks.no_loss_between_proxies(seen(), (GROW,)),
        Result("no-loss", "pass", ("0 of 1000 lost",)),
    ),
    "proxies-lost": (
        lambda: load_checks.no_loss_between_proxies(
            seen(history=(OK, replace(LOST, time=GROW.end, flags="", reason=""))), (GROW,)
        ),
        Result("no-loss", "fail", ("1 of 2 lost", "1x at 12:00:04, in grow: 503 - no reason")),
    ),
    "stall": (
        lambda: load_checks.no_stall(seen(), (GROW,)),
        Result("no-stall", "pass", ("never longer than 0.0 s without a request",)),
    ),
    "stall-of-the-limit-is-none": (
        lambda: load_checks.no_stall(seen(history=(OK,), end=NOON + load_checks.STALL), ()),
        Result("no-stall", "pass", ("never longer than 3.0 s without a request",)),
    ),
    "stall-unseen": (
        lambda: load_checks.no_stall(seen(history=()), (GROW,)),
        Result("no-stall", "unknown", ("no request was recorded",)),
    ),
    "stall-begins-with-a-step": (
        lambda: load_checks.no_stall(
            seen(history=(OK, replace(OK, time=GROW.begin)), end=GROW.begin + 4 * SECOND), (GROW,)
        ),
        Result("no-stall", "fail", ("nothing for 4.0 s from 12:00:02 on, in grow",)),
    ),
    "both-ends": (
        lambda: load_checks.both_ends_logged((OK, OK, replace(OK, peer_serial="5f"), LOST)),
        Result("both-ends-logged", "pass", ("the client showed 2 certificates",)),
    ),
    "both-ends-not": (
        lambda: load_checks.both_ends_logged(
            (OK, replace(OK, peer_serial=""), replace(LOST, peer_serial=""))
        ),
        Result("both-ends-logged", "fail", ("1 of 2 without a client's certificate",)),
    ),
    "both-ends-unseen": (
        lambda: load_checks.both_ends_logged((LOST,)),
        Result("both-ends-logged", "unknown", ("no answer was recorded",)),
    ),
    "steps": (
        lambda: load_checks.seen_in_every_step(
            tuple(replace(OK, time=each) for each in (NOON, GROW.begin, GROW.end)), (GROW,)
        ),
        Result("seen-in-every-step", "pass", ("grow: 2",)),
    ),
    "steps-unseen": (
        lambda: load_checks.seen_in_every_step((OK, LOST), (GROW, LATE)),
        Result("seen-in-every-step", "unknown", ("nothing observed in grow, subject",)),
    ),
    "no-steps": (
        lambda: load_checks.seen_in_every_step((OK,), ()),
        Result("seen-in-every-step", "unknown", ("there was no step",)),
    ),
    "rate": (
        lambda: load_checks.fast_enough(seen()),
        Result("rate", "pass", ("100.0 requests a second, wanted 100",)),
    ),
    "rate-slow": (
        lambda: load_checks.fast_enough(seen(codes={200: 999})),
        Result("rate", "unknown", ("99.9 requests a second, wanted 100",)),
    ),
    "rate-untold": (lambda: load_checks.fast_enough(seen(codes=None)), Result("rate", "unknown", UNTOLD)),
    "full": (
        lambda: load_checks.full_handshakes(seen()),
        Result(
            "full-handshakes", "pass", ("1000 handshakes for 1000 requests, 0 of them resumed a session",)
        ),
    ),
    "full-resumed": (
        lambda: load_checks.full_handshakes(seen(handshakes=(Handshakes(0, 0), Handshakes(1000, 2)))),
        Result(
            "full-handshakes", "fail", ("1000 handshakes for 1000 requests, 2 of them resumed a session",)
        ),
    ),
    "full-none": (
        lambda: load_checks.full_handshakes(seen(handshakes=(Handshakes(5, 3), Handshakes(5, 3)))),
        Result("full-handshakes", "fail", ("0 handshakes for 1000 requests, 0 of them resumed a session",)),
    ),
    "full-fewer-than-before": (
        lambda: load_checks.full_handshakes(seen(handshakes=(Handshakes(5, 3), Handshakes(4, 3)))),
        Result(
            "full-handshakes", "unknown", ("-1 handshakes for 1000 requests, 0 of them resumed a session",)
        ),
    ),
    "full-fewer-resumed-than-before": (
        lambda: load_checks.full_handshakes(seen(handshakes=(Handshakes(5, 3), Handshakes(1005, 2)))),
        Result(
            "full-handshakes",
            "unknown",
            ("1000 handshakes for 1000 requests, -1 of them resumed a session",),
        ),
    ),
    "full-unsent": (
        lambda: load_checks.full_handshakes(seen(codes={})),
        Result(
            "full-handshakes", "unknown", ("1000 handshakes for 0 requests, 0 of them resumed a session",)
        ),
    ),
    "full-uncounted": (
        lambda: load_checks.full_handshakes(seen(handshakes=None)),
        Result("full-handshakes", "unknown", ("nobody counted them",)),
    ),
    "stream": (
        lambda: load_checks.kept_its_connection(seen("stream")),
        Result("kept-its-connection", "pass", ("1000 requests on 1 new connections, sent 1000",)),
    ),
    "stream-of-several-endpoints": (
        lambda: load_checks.kept_its_connection(
            seen(
                "stream",
                counters=(
                    {KEY: Counters(1, 7)},
                    {KEY: Counters(1, 7), (*HOP, "b"): STREAM, ("client", "c", "b"): Counters(9, 9)},
                ),
            )
        ),
        Result("kept-its-connection", "pass", ("1000 requests on 1 new connections, sent 1000",)),
    ),
    "stream-twice": (
        lambda: load_checks.kept_its_connection(seen("stream", counters=({}, {KEY: Counters(2, 1000)}))),
        Result("kept-its-connection", "fail", ("1000 requests on 2 new connections, sent 1000",)),
    ),
    "stream-unsent": (
        lambda: load_checks.kept_its_connection(seen("stream", codes={})),
        Result("kept-its-connection", "unknown", ("1000 requests on 1 new connections, sent 0",)),
    ),
}


@pytest.mark.parametrize("case", WORDS)
def test_a_check_says_this(case: str) -> None:
    run, wanted = WORDS[case]

    assert run() == wanted


def test_each_load_has_the_checks_of_its_kind() -> None:
    common = [
        "no-loss-for-the-user",
        "no-loss",
        "no-stall",
        "retries",
        "load-counted",
        "expected-peers",
        "both-ends-logged",
        "seen-in-every-step",
    ]
    kinds: dict[LoadName, list[str]] = {
        "handshakes": ["rate", "every-request-a-handshake", "full-handshakes"],
        "pooled": [],
        "stream": ["kept-its-connection"],
    }
    for load, own in kinds.items():
        assert [result.check for result in judge([seen(load)], (GROW,))] == [
            f"{load}/{check}" for check in (*common, *own)
        ]
