"""What each check says, whole: a wrong name or a wrong word misleads whoever reads the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fixtures.chaos import checks
from fixtures.chaos.checks import Counters, Identity, Result
from fixtures.chaos.history import Operation

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
ID = "spiffe://example.org/ns/bookinfo/sa/bookinfo-details"
HOP = ("productpage", "details")
OTHER = ("client", "productpage")
KEY = (*HOP, "10.0.0.1:9080")

OK = Operation(NOON, *HOP, "ok", 200, "", "", 1, ID, "0a", "r1")
LATER = replace(OK, time=NOON + MINUTE)
LOST = replace(OK, outcome="fail", code=503, flags="UF,URX", reason="", peer_id="", peer_serial="")
BARE = replace(LOST, time=NOON + SECOND, flags="")
EXPIRED = replace(LOST, flags="UF", reason="certificate_has_expired")
UNSURE = replace(OK, outcome="info", code=0)
ELSEWHERE = replace(OK, caller="client", target="productpage")

CERT = Identity(ID, "0a", NOON - MINUTE, NOON + MINUTE)
NEXT = Identity(ID, "0b", NOON + 2 * SECOND, NOON + 3 * MINUTE)


def pooled(caller: str, target: str) -> Mapping[tuple[str, str, str], Counters]:
    return {(caller, target, "10.0.0.1:9080"): Counters(1, 5)}


SAYS: dict[str, tuple[Callable[[], Result], Result]] = {
    "no-loss": (
        lambda: checks.no_loss((OK, LATER)),
        Result("no-loss", "pass", ("0 of 2 lost",)),
    ),
    "no-loss-unknown": (
        lambda: checks.no_loss((), check="mine"),
        Result("mine", "unknown", ("no request was recorded",)),
    ),
    "no-loss-unsure": (
        lambda: checks.no_loss((OK, UNSURE, UNSURE)),
        Result("no-loss", "unknown", ("2 of 3 have no known end",)),
    ),
    "no-loss-kinds": (
        lambda: checks.no_loss((LOST, BARE, replace(BARE, time=NOON + 3 * SECOND), EXPIRED), check="mine"),
        Result(
            "mine",
            "fail",
            (
                "4 of 4 lost",
                "1x productpage -> details: 503 UF,URX no reason, 12:00:00 to 12:00:00",
                "2x productpage -> details: 503 - no reason, 12:00:01 to 12:00:03",
                "1x productpage -> details: 503 UF certificate_has_expired, 12:00:00 to 12:00:00",
            ),
        ),
    ),
    "fails-closed-none": (
        lambda: checks.fails_closed((OK,), {}, since=NOON),
        Result("fails-closed", "pass", ("no certificate expired in use",)),
    ),
    "fails-closed": (
        lambda: checks.fails_closed((EXPIRED,), {}, since=NOON),
        Result(
            "fails-closed",
            "pass",
            (
                "1 refused, each by expiry",
                "1x productpage -> details: 503 UF certificate_has_expired, 12:00:00 to 12:00:00",
            ),
        ),
    ),
    "fails-closed-other": (
        lambda: checks.fails_closed((replace(BARE, request_id="r2"), EXPIRED), {}, since=NOON),
        Result(
            "fails-closed",
            "fail",
            (
                "1 lost for another reason",
                "1x productpage -> details: 503 - no reason, 12:00:01 to 12:00:01",
            ),
        ),
    ),
    "refused": (
        lambda: checks.refused((LOST, OK, LATER, ELSEWHERE), HOP, since=NOON, until=NOON + 2 * MINUTE),
        Result("refused", "fail", ("2 of 3 answered, 12:00:00 to 12:01:00",)),
    ),
    "refused-all": (
        lambda: checks.refused((LOST, BARE, ELSEWHERE), HOP, since=NOON, until=NOON + MINUTE),
        Result("refused", "pass", ("all 2 from 12:00:00 to 12:01:00",)),
    ),
    "refused-begins-with-its-first-moment-and-ends-before-its-last": (
        lambda: checks.refused((OK, replace(LOST, time=NOON + MINUTE)), HOP, since=NOON, until=NOON + MINUTE),
        Result("refused", "fail", ("1 of 1 answered, 12:00:00 to 12:00:00",)),
    ),
    "refused-unseen": (
        lambda: checks.refused((ELSEWHERE, LATER), HOP, since=NOON, until=NOON + MINUTE),
        Result("refused", "unknown", ("no request from 12:00:00 to 12:01:00",)),
    ),
    "expired-accepted": (
        lambda: checks.nothing_expired_accepted(
            (OK, replace(OK, time=NOON + MINUTE + SECOND), *2 * (replace(OK, time=NOON + 2 * MINUTE),)),
            {"productpage": (CERT,)},
        ),
        Result(
            "nothing-expired-accepted",
            "fail",
            ("2x productpage -> details: answered after the end of 0a, 12:01:00",),
        ),
    ),
    "expired-accepted-never": (
        lambda: checks.nothing_expired_accepted(
            (
                replace(OK, peer_serial=""),
                replace(LOST, peer_serial="a", time=NOON + 2 * MINUTE),
                replace(OK, peer_serial="c"),
                OK,
                replace(OK, peer_serial="a"),
            ),
            {"productpage": (CERT,), "details": (replace(CERT, serial="0c"),)},
        ),
        Result("nothing-expired-accepted", "pass", ("2 answers, each to a certificate that was valid",)),
    ),
    "expired-accepted-unsampled": (
        lambda: checks.nothing_expired_accepted(
            (OK, replace(OK, peer_serial=""), replace(OK, peer_serial="Xc"), replace(OK, peer_serial="d")),
            {
                "details": (CERT,),
                "productpage": tuple(replace(CERT, serial=serial) for serial in ("00", "0c", "Xd")),
            },
        ),
        Result("nothing-expired-accepted", "unknown", ("no answer to a certificate that was sampled",)),
    ),
    "retries-unknown": (
        lambda: checks.retries(()),
        Result("retries", "unknown", ("no request was recorded",)),
    ),
    "retries": (
        lambda: checks.retries((OK, replace(OK, attempts=2), replace(OK, attempts=3)), allowed=1),
        Result("retries", "fail", ("2 of 3 needed more than one attempt",)),
    ),
    "peers": (
        lambda: checks.expected_peers((OK, LOST), {"details": ID}),
        Result("expected-peers", "pass", ("all 1 answers by whom they should",)),
    ),
    "peers-unknown": (
        lambda: checks.expected_peers((LOST,), {"details": ID}),
        Result("expected-peers", "unknown", ("no answer was recorded",)),
    ),
    "peers-wrong": (
        lambda: checks.expected_peers(
            (*2 * (replace(OK, peer_id=""),), replace(OK, peer_id=f"{ID}-x"), *3 * (ELSEWHERE,)),
            {"details": ID},
        ),
        Result(
            "expected-peers",
            "fail",
            (
                f"2x details: answered by nobody known, not {ID}",
                f"1x details: answered by {ID}-x, not {ID}",
                "3x productpage: nobody said who should answer",
            ),
        ),
    ),
    "hops": (
        lambda: checks.every_hop_seen((OK, OK, ELSEWHERE), [HOP, OTHER]),
        Result("every-hop-seen", "pass", ("productpage -> details: 2", "client -> productpage: 1")),
    ),
    "hops-missing": (
        lambda: checks.every_hop_seen((LOST,), [HOP, OTHER]),
        Result(
            "every-hop-seen",
            "unknown",
            ("no answer recorded for productpage -> details, client -> productpage",),
        ),
    ),
    "hops-none": (
        lambda: checks.every_hop_seen((OK,), []),
        Result("every-hop-seen", "unknown", ("no hop was asked for",)),
    ),
    "load-unknown": (
        lambda: checks.load_counted((OK,), 0, caller="productpage", target="details"),
        Result("load-counted", "unknown", ("the load never ran",)),
    ),
    "load-more": (
        lambda: checks.load_counted(
            (OK, LOST, ELSEWHERE), 1, caller="productpage", target="details", exactly=False
        ),
        Result("load-counted", "pass", ("sent 1, logged by the proxy of productpage 2",)),
    ),
    "load-fewer": (
        lambda: checks.load_counted((OK,), 2, caller="productpage", target="details", exactly=False),
        Result("load-counted", "fail", ("sent 2, logged by the proxy of productpage 1",)),
    ),
    "handshakes": (
        lambda: checks.every_request_a_handshake(
            {KEY: Counters(10, 10)},
            {KEY: Counters(16, 15), (*HOP, "10.0.0.2:9080"): Counters(3, 2), **pooled(*OTHER)},
            [HOP],
        ),
        Result("every-request-a-handshake", "pass", ("productpage -> details: 7 requests on 9 connections",)),
    ),
    "handshakes-pooled": (
        lambda: checks.every_request_a_handshake(
            {}, {**pooled(*OTHER), KEY: Counters(4, 5), (*HOP, "b"): Counters(6, 5)}, [HOP]
        ),
        Result(
            "every-request-a-handshake",
            "fail",
            ("productpage -> details at 10.0.0.1:9080: 5 requests on 4 connections",),
        ),
    ),
    "handshakes-idle": (
        lambda: checks.every_request_a_handshake({}, {KEY: Counters(3, 0)}, [HOP, OTHER]),
        Result(
            "every-request-a-handshake",
            "unknown",
            ("no request counted for productpage -> details, client -> productpage",),
        ),
    ),
    "handshakes-of-no-hop": (
        lambda: checks.every_request_a_handshake({}, {KEY: Counters(5, 5)}, []),
        Result("every-request-a-handshake", "unknown", ("no request counted for any hop",)),
    ),
    "renewed": (
        lambda: checks.renewed(
            {"a": CERT, "b": replace(CERT, not_after=NOON + 9 * MINUTE)},
            {"a": replace(NEXT, not_before=NOON), "b": CERT},
            fault=NOON,
            until=NOON + MINUTE,
        ),
        Result("renewed", "pass", ("1 of 2 renewed after the fault",)),
    ),
    "renewed-not": (
        lambda: checks.renewed(
            {"a": CERT, "b": CERT, "c": CERT},
            {
                "a": replace(CERT, not_before=NOON - 11 * SECOND, serial="0c"),
                "b": replace(NEXT, spiffe_id=f"{ID}-x", flaws=("no path", "no SVID")),
            },
            fault=NOON,
            until=NOON,
        ),
        Result(
            "renewed",
            "fail",
            (
                "a: not renewed: serial 0c, issued 11:59:59, the fault was at 12:00:00",
                f"b: was {ID}, is {ID}-x",
                "b: no path",
                "b: no SVID",
            ),
        ),
    ),
    "renewed-unread": (
        lambda: checks.renewed({"a": CERT, "b": CERT}, {"b": NEXT}, fault=NOON, until=NOON + MINUTE),
        Result("renewed", "unknown", ("a: not read after the fault",)),
    ),
    "renewed-unread-and-another": (
        lambda: checks.renewed({"a": CERT, "b": CERT}, {"b": CERT}, fault=NOON, until=NOON + MINUTE),
        Result(
            "renewed",
            "fail",
            ("b: not renewed: serial 0a, issued 11:59:10, the fault was at 12:00:00",),
        ),
    ),
    "renewed-none-due": (
        lambda: checks.renewed({"a": CERT}, {"a": CERT}, fault=NOON, until=NOON - SECOND),
        Result("renewed", "unknown", ("no workload renewed, and none was due",)),
    ),
}


@pytest.mark.parametrize("case", SAYS)
def test_a_check_says_this(case: str) -> None:
    run, expected = SAYS[case]
    assert run() == expected


def test_a_result_is_one_line() -> None:
    assert str(Result("a", "fail", ("b", "c"))) == "a: fail: b; c"


CUT: dict[str, Any] = {"time": NOON + MINUTE, "flags": "UC", "reason": "upstream_reset"}


@pytest.mark.parametrize(
    ("before", "held", "flags", "outcome"),
    [
        ((), (CERT,), "UC", "pass"),
        ((), (CERT,), "URX,UC", "pass"),
        ((), (CERT,), "URX UC", "fail"),
        ((), (), "UC", "fail"),
        ((), (NEXT, CERT), "UC", "fail"),
        ((replace(OK, peer_serial="X"),), (replace(CERT, serial="0X"),), "UC", "pass"),
        ((replace(OK, peer_serial="0X"),), (replace(CERT, serial="X"),), "UC", "pass"),
        ((replace(OK, peer_serial="a"),), (replace(CERT, serial="Xa"),), "UC", "fail"),
        ((replace(OK, peer_serial="Xa"),), (CERT,), "UC", "fail"),
        ((OK, replace(LOST, peer_serial="0b", request_id="r0")), (CERT, NEXT), "UC", "fail"),
        ((OK, replace(OK, peer_serial="")), (CERT, NEXT), "UC", "pass"),
        ((OK, replace(OK, caller="client", peer_serial="0b")), (CERT, NEXT), "UC", "pass"),
    ],
    ids=[
        "nothing-answered-yet",
        "among-other-flags",
        "flags-of-another-form",
        "nothing-held",
        "the-first-held-is-still-valid",
        "zeros-do-not-count",
        "nor-do-shown-ones",
        "other-digits-of-the-held-do",
        "and-of-the-shown",
        "lost-for-another-reason-before",
        "an-answer-without-a-serial",
        "an-answer-to-another",
    ],
)
def test_a_caller_is_cut_off_by_the_certificate_it_showed_last(
    before: tuple[Operation, ...], held: tuple[Identity, ...], flags: str, outcome: str
) -> None:
    lost = replace(LOST, **{**CUT, "flags": flags})
    assert checks.fails_closed((*before, lost), {HOP[0]: held}, since=NOON).outcome == outcome


@pytest.mark.parametrize(
    ("old", "now", "grown"),
    [
        (None, (3, 4), (3, 4)),
        ((1, 1), (3, 4), (2, 3)),
        ((3, 4), (3, 4), (0, 0)),
        ((4, 1), (3, 4), (3, 4)),
        ((1, 5), (3, 4), (3, 4)),
    ],
    ids=["new", "more", "idle", "fewer-connections", "fewer-requests"],
)
def test_growth(old: tuple[int, int] | None, now: tuple[int, int], grown: tuple[int, int]) -> None:
    earlier = Counters(*old) if old else None
    assert checks.growth(earlier, Counters(*now)) == Counters(*grown)


def test_an_identity_is_saved_in_plain_json() -> None:
    flawed = replace(CERT, flaws=("no path",))
    assert flawed.to_json() == {
        "spiffe_id": ID,
        "serial": "0a",
        "not_before": "2030-01-01T11:59:00+00:00",
        "not_after": "2030-01-01T12:01:00+00:00",
        "flaws": ["no path"],
    }
    assert (CERT.half_life, CERT.issued) == (NOON, NOON - 50 * SECOND)
