"""The judgement of a certificate that was shown to a proxy: what it takes to be refused, and to be served."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.pki import mint, serial_hex
from fixtures.probe.knock import Knock, Request, is_logged, refused_faults, served_faults
from fixtures.probe.tls_client import Conversation
from fixtures.probe.wire import AccessLine

CA = mint.intermediate(mint.authority())
CALLER = mint.WORKLOAD
WORKLOAD = f"spiffe://{mint.TRUST_DOMAIN}/ns/default/sa/ratings"
SERVER = mint.leaf(CA, replace(mint.LEAF, uris=(WORKLOAD,))).cert
SERIAL = serial_hex(mint.leaf(CA).cert)
EXPIRED = "TLS_error:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_certificate_has_expired:TLS_error_end"

REQUEST = AccessLine(
    path="/one",
    request_id="id-1",
    code=200,
    details="via_upstream",
    flags="",
    cluster="inbound|9080||",
    peer_above="",
    peer_below=CALLER,
    serial_below=SERIAL,
    tls_error="",
)
THROUGH = replace(REQUEST, path="", request_id="", code=0, details="", cluster="InboundPassthroughCluster")
FAILED = replace(THROUGH, tls_error=EXPIRED)
# What others leave in the same log.
ELSE = [
    replace(REQUEST, path="/other"),
    replace(THROUGH, serial_below="0b"),
    replace(FAILED, serial_below="0c"),
]

ALERT = Conversation(alert="certificate_expired", server=SERVER)
REFUSED = Knock(Request("/one", (CALLER,), SERIAL, ALERT), b"two\n", ALERT)
OK = Conversation(b"HTTP/1.1 200 OK\r\n\r\n", server=SERVER)
ECHO = Conversation(b"two\n", server=SERVER)
SERVED = Knock(Request("/one", (CALLER,), SERIAL, OK), b"two\n", ECHO)


def http(one: Knock, seen: Conversation) -> Knock:
    return replace(one, http=replace(one.http, seen=seen))


def refusal(one: Knock, *log: AccessLine) -> str:
    alerts = ("certificate_expired", "certificate_unknown")
    found = refused_faults(
        one, [*ELSE, *log], workload=WORKLOAD, alerts=alerts, reason="certificate_has_expired"
    )
    return "; ".join(found)


def service(one: Knock, *log: AccessLine) -> str:
    return "; ".join(served_faults(one, [*ELSE, *log], workload=WORKLOAD))


def test_a_refusal_is_an_alert_and_the_proxys_reason() -> None:
    assert refusal(REFUSED, FAILED) == ""
    twice = replace(REFUSED, echo=replace(ALERT, connections=2))
    assert refusal(twice, FAILED, FAILED) == ""


def test_without_a_certificate_the_lines_are_those_without_a_serial() -> None:
    nobody = replace(REFUSED, http=replace(REFUSED.http, serial="", uris=()))
    plaintext = AccessLine("", "", 0, "filter_chain_not_found", "NR", "", "", "", "", "TLS_error")
    assert refusal(nobody, replace(FAILED, serial_below="", peer_below=""), plaintext) == ""


@pytest.mark.parametrize(
    ("one", "log", "fault"),
    [
        pytest.param(http(REFUSED, OK), [FAILED], "HTTP: answered HTTP/1.1 200 OK", id="served"),
        pytest.param(replace(REFUSED, echo=ECHO), [FAILED], "TCP: answered two", id="echoed"),
        pytest.param(
            http(REFUSED, replace(ALERT, alert="unknown_ca")),
            [FAILED],
            "ended by alert unknown_ca",
            id="alert",
        ),
        pytest.param(
            replace(REFUSED, echo=Conversation(end="reset", server=SERVER)),
            [FAILED],
            "ended by reset",
            id="end",
        ),
        pytest.param(REFUSED, [FAILED, REQUEST], "took it as a request", id="request"),
        pytest.param(REFUSED, [], "logged 0 of 1 connections", id="somebody-else"),
        pytest.param(REFUSED, [FAILED, FAILED], "logged 2 of 1 connections", id="another"),
        pytest.param(REFUSED, [replace(FAILED, tls_error="SAN_match")], "logged SAN_match, not", id="reason"),
        pytest.param(REFUSED, [THROUGH], "logged no failure, not", id="accepted"),
        pytest.param(
            http(REFUSED, replace(ALERT, server=None)), [FAILED], "HTTP: the server was nobody", id="server"
        ),
        pytest.param(
            replace(REFUSED, echo=replace(ALERT, server=mint.leaf(CA).cert)),
            [FAILED],
            f"TCP: the server was {CALLER}",
            id="other-server",
        ),
    ],
)
def test_what_is_no_refusal_is_named(one: Knock, log: list[AccessLine], fault: str) -> None:
    assert fault in refusal(one, *log)


def test_service_is_an_answer_on_both_ports_and_two_lines_of_the_certificate() -> None:
    assert service(SERVED, REQUEST, THROUGH) == ""


def test_both_ids_of_a_certificate_are_in_its_lines() -> None:
    both = f"{CALLER},{WORKLOAD}"
    one = replace(SERVED, http=replace(SERVED.http, uris=(CALLER, WORKLOAD)))
    assert service(one, replace(REQUEST, peer_below=both), replace(THROUGH, peer_below=both)) == ""
    assert "not one 200" in service(one, REQUEST, THROUGH)


@pytest.mark.parametrize(
    ("one", "log", "fault"),
    [
        pytest.param(http(SERVED, ALERT), [REQUEST, THROUGH], "HTTP: alert certificate_expired", id="alert"),
        pytest.param(
            http(SERVED, replace(OK, answer=b"HTTP/1.1 403 Forbidden\r\n")),
            [REQUEST, THROUGH],
            "HTTP: HTTP/1.1 403 Forbidden, not 200",
            id="denied",
        ),
        pytest.param(replace(SERVED, echo=OK), [REQUEST, THROUGH], "TCP: HTTP/1.1 200 OK, not", id="echo"),
        pytest.param(SERVED, [THROUGH], "logged 0 requests", id="no-request"),
        pytest.param(SERVED, [replace(REQUEST, serial_below="0a"), THROUGH], "1 requests, not", id="serial"),
        pytest.param(SERVED, [replace(REQUEST, peer_below=WORKLOAD), THROUGH], "1 requests, not", id="peer"),
        pytest.param(SERVED, [REQUEST], "logged 0 connections", id="no-connection"),
        pytest.param(SERVED, [REQUEST, FAILED], "logged 1 connections", id="failed"),
        pytest.param(http(SERVED, replace(OK, server=None)), [REQUEST, THROUGH], "nobody", id="server"),
    ],
)
def test_what_is_no_service_is_named(one: Knock, log: list[AccessLine], fault: str) -> None:
    assert fault in service(one, *log)


def test_a_knock_is_logged_when_all_its_connections_are() -> None:
    twice = replace(REFUSED, echo=replace(ALERT, connections=2))
    assert not is_logged(twice, [*ELSE, FAILED])
    assert is_logged(twice, [*ELSE, FAILED, FAILED])


def test_the_reply_is_that_of_the_http_port() -> None:
    assert SERVED.http.reply.code == 200
    assert (REFUSED.http.reply.code, REFUSED.http.reply.error) == (0, "alert certificate_expired")
