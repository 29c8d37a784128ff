from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fixtures.chaos import checks
from fixtures.chaos.checks import Counters, Identity, Outcome, Result
from fixtures.chaos.history import Operation

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ID = "spiffe://example.org/ns/bookinfo/sa/bookinfo-details"
HOP = ("productpage", "details")
EXPIRED = "TLS_error:|268435581:...:_certificate_has_expired:TLS_error_end"

OK = Operation(NOON, *HOP, "ok", 200, "", "", 1, ID, "5e", "r1")
LOST = replace(OK, outcome="fail", code=503, flags="UF", reason=EXPIRED, peer_id="")
UNSURE = replace(OK, outcome="info", code=0)

CERT = Identity(ID, "01", NOON - MINUTE, NOON + MINUTE)
NEXT = Identity(ID, "02", NOON + MINUTE, NOON + 3 * MINUTE)


def test_the_worst_result_wins_and_none_is_unknown() -> None:
    def merged(*outcomes: Outcome) -> Outcome:
        return checks.merge(Result("x", outcome, ()) for outcome in outcomes)

    assert merged("pass", "unknown", "fail") == "fail"
    assert merged("pass", "unknown") == "unknown"
    assert merged("pass", "pass") == "pass"
    assert merged() == "unknown"


def test_a_loss_fails_and_is_described() -> None:
    result = checks.no_loss((OK, LOST))
    assert result.outcome == "fail"
    assert result.reasons == (
        "1 of 2 lost",
        f"1x productpage -> details: 503 UF {EXPIRED}, 12:00:00 to 12:00:00",
    )


@pytest.mark.parametrize(
    ("history", "outcome"),
    [((), "unknown"), ((OK,), "pass"), ((OK, UNSURE), "unknown"), ((UNSURE, LOST), "fail")],
    ids=["nothing", "ok", "unsure", "unsure-and-lost"],
)
def test_no_loss(history: tuple[Operation, ...], outcome: Outcome) -> None:
    assert checks.no_loss(history).outcome == outcome


def test_a_loss_counts_in_its_window_only() -> None:
    later = replace(OK, time=NOON + MINUTE)
    history = (LOST, later)
    assert checks.no_loss(history, since=NOON + MINUTE).outcome == "pass"
    assert checks.no_loss(history, until=NOON + MINUTE).outcome == "fail"
    assert checks.no_loss(history, until=NOON).outcome == "unknown"


def test_after_the_budget_only_expiry_excuses_a_loss() -> None:
    handed_on = replace(LOST, caller="client", target="productpage", reason="via_upstream")
    alert = replace(LOST, reason="TLS_error:|268436501:...:SSLV3_ALERT_CERTIFICATE_EXPIRED")
    assert checks.fails_closed((LOST, handed_on), {}, since=NOON).outcome == "pass"
    assert checks.fails_closed((alert,), {}, since=NOON).outcome == "pass"
    assert checks.fails_closed((OK,), {}, since=NOON).outcome == "pass"
    other = replace(handed_on, request_id="r2")
    result = checks.fails_closed((LOST, other), {}, since=NOON)
    assert result.outcome == "fail"
    assert result.reasons[0] == "1 lost for another reason"
    assert checks.fails_closed((other,), {}, since=NOON + MINUTE).outcome == "pass"


@pytest.mark.parametrize(
    ("deviations", "seen", "outcome"),
    [
        ({}, "01", "pass"),
        ({}, "1", "pass"),
        ({"time": NOON + MINUTE - checks.EDGE}, "01", "pass"),
        ({"time": NOON + MINUTE / 2}, "01", "fail"),
        ({"flags": "UF"}, "01", "fail"),
        ({"caller": "reviews"}, "01", "fail"),
        ({}, "02", "fail"),
    ],
    ids=["cut-off", "shorter-hex", "edge", "valid-yet", "other-flag", "another", "renewed"],
)
def test_a_caller_whose_own_certificate_expired_is_cut_off_without_a_word(
    deviations: dict[str, Any], seen: str, outcome: Outcome
) -> None:
    before = replace(OK, peer_serial=seen)
    cut: dict[str, Any] = {"time": NOON + MINUTE, "flags": "UC", "reason": "upstream_reset"}
    lost = replace(LOST, **{**cut, **deviations})
    result = checks.fails_closed((before, lost), {HOP[0]: (CERT,)}, since=NOON)
    assert result.outcome == outcome


def test_an_identity_survives_the_journal() -> None:
    flawed = replace(CERT, flaws=("no path",))
    assert Identity.from_json(json.loads(json.dumps(flawed.to_json()))) == flawed


def test_requests_flow_where_all_of_late_were_answered() -> None:
    elsewhere = replace(LOST, caller="another")
    assert checks.flowing((OK, elsewhere), HOP)
    assert not checks.flowing((OK, LOST), HOP)
    assert not checks.flowing((elsewhere,), HOP)
    assert not checks.flowing((), HOP)


def test_retries_are_never_hidden() -> None:
    retried = replace(OK, attempts=2)
    assert checks.retries((OK, OK)).outcome == "pass"
    assert checks.retries((OK, retried)).outcome == "fail"
    allowed = checks.retries((OK, retried), allowed=1)
    assert allowed == Result("retries", "pass", ("1 of 2 needed more than one attempt",))
    assert checks.retries(()).outcome == "unknown"


@pytest.mark.parametrize(
    ("history", "outcome"),
    [
        ((OK,), "pass"),
        ((OK, replace(OK, peer_id="spiffe://example.org/ns/x/sa/rogue")), "fail"),
        ((replace(OK, peer_id=""),), "fail"),
        ((replace(OK, target="ratings"),), "fail"),
        ((LOST,), "unknown"),
        ((), "unknown"),
    ],
    ids=["right", "another", "plaintext", "unexpected-target", "only-losses", "nothing"],
)
def test_expected_peers(history: tuple[Operation, ...], outcome: Outcome) -> None:
    assert checks.expected_peers(history, {"details": ID}).outcome == outcome


def test_a_hop_that_was_never_answered_is_unknown() -> None:
    other = ("productpage", "reviews")
    assert checks.every_hop_seen((OK,), [HOP]).outcome == "pass"
    result = checks.every_hop_seen((OK, replace(LOST, target="reviews")), [HOP, other])
    assert result.outcome == "unknown"
    assert result.reasons == ("no answer recorded for productpage -> reviews",)
    assert checks.every_hop_seen((OK,), []).outcome == "unknown"


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [(0, "unknown"), (1, "fail"), (2, "pass"), (3, "fail")],
    ids=["never-ran", "more-logged", "equal", "fewer-logged"],
)
def test_load_counted(sent: int, outcome: Outcome) -> None:
    history = (OK, LOST, replace(OK, caller="reviews"))
    result = checks.load_counted(history, sent, caller="productpage", target="details")
    assert result.outcome == outcome


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ((10, 10), (15, 15), "pass"),
        (None, (5, 5), "pass"),
        ((10, 10), (17, 15), "pass"),
        ((10, 10), (11, 15), "fail"),
        ((10, 10), (10, 10), "unknown"),
        ((1, 90), (5, 5), "pass"),
    ],
    ids=["equal", "new-endpoint", "failed-connections", "pooled", "idle", "begun-anew"],
)
def test_every_request_a_handshake(
    before: tuple[int, int] | None, after: tuple[int, int], outcome: Outcome
) -> None:
    key = (*HOP, "10.0.0.1:9080")
    earlier = {key: Counters(*before)} if before else {}
    found = checks.every_request_a_handshake(earlier, {key: Counters(*after)}, [HOP])
    assert found.outcome == outcome


def test_a_pooled_endpoint_is_not_outweighed_by_another() -> None:
    after = {
        (*HOP, "10.0.0.1:9080"): Counters(1, 5),
        (*HOP, "10.0.0.2:9080"): Counters(9, 5),
    }
    assert checks.every_request_a_handshake({}, after, [HOP]).outcome == "fail"


def test_a_hop_without_counters_is_unknown() -> None:
    assert checks.every_request_a_handshake({}, {}, [HOP]).outcome == "unknown"


@pytest.mark.parametrize(
    ("after", "until", "outcome"),
    [
        (NEXT, 5 * MINUTE, "pass"),
        (replace(NEXT, not_before=NOON - checks.BACKDATE), 5 * MINUTE, "pass"),
        (replace(NEXT, not_before=NOON - MINUTE / 5), 5 * MINUTE, "fail"),
        (replace(NEXT, not_before=NOON - MINUTE / 5), -MINUTE / 60, "pass"),
        (CERT, 5 * MINUTE, "fail"),
        (CERT, -MINUTE / 60, "unknown"),
        (replace(NEXT, spiffe_id=ID + "-other"), 5 * MINUTE, "fail"),
        (replace(NEXT, flaws=("no path",)), 5 * MINUTE, "fail"),
        (None, 5 * MINUTE, "unknown"),
    ],
    ids=[
        "new",
        "new-at-the-fault",
        "perhaps-just-before",
        "not-due-so-by-the-fault",
        "same",
        "same-and-not-due",
        "another-identity",
        "not-by-spire",
        "not-read",
    ],
)
def test_renewed(after: Identity | None, until: timedelta, outcome: Outcome) -> None:
    found = {"a": after} if after else {}
    result = checks.renewed({"a": CERT}, found, fault=NOON, until=NOON + until)
    assert result.outcome == outcome, result


def test_one_workload_that_did_not_renew_fails_all() -> None:
    before = {"a": CERT, "b": CERT}
    result = checks.renewed(before, {"a": NEXT, "b": CERT}, fault=NOON, until=NOON + MINUTE)
    assert result.outcome == "fail"
    assert [reason.partition(":")[0] for reason in result.reasons] == ["b"]
