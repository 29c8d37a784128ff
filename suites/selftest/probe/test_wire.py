"""The judgement of calls by access logs: what is right passes, and each break is named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography import x509

from fixtures.pki import TrustBundle, mint, serial_hex
from fixtures.probe.sds import ProxySvid
from fixtures.probe.wire import (
    NO_ACCESS,
    RESET,
    AccessLine,
    Reply,
    access_faults,
    forwarded_clients,
    forwarded_faults,
    hop_faults,
    hop_of,
    issued_serials,
    no_access_faults,
    parse_access_log,
    parse_fortio,
    refusal_faults,
    unbelieved_faults,
)

PREFIX = "spiffe://example.org/ns/bookinfo/sa/bookinfo"
PAGE, DETAILS = f"{PREFIX}-productpage", f"{PREFIX}-details"

ABOVE = AccessLine(
    path="/one",
    request_id="id-1",
    code=200,
    details="via_upstream",
    flags="",
    cluster="outbound|9080||details.bookinfo.svc.cluster.local",
    peer_above=DETAILS,
    peer_below="",
    serial_below="",
    tls_error="",
)
BELOW = replace(ABOVE, cluster="inbound|9080||", peer_above="", peer_below=PAGE, serial_below="0a")
REFUSAL = AccessLine("", "", 0, "filter_chain_not_found", "NR", "", "", "", "", "TLS_error:HTTP_REQUEST")


def faults(above: AccessLine, below: AccessLine | None) -> str:
    """Judge the call from productpage to details that left these lines."""
    hop = hop_of("productpage", "details", "/one", [above], [below] if below else [])
    return "; ".join(hop_faults(hop, caller_id=PAGE, callee_id=DETAILS, serials={"0a", "0b"}))


def test_a_call_between_the_right_two_is_mutual_tls() -> None:
    assert faults(ABOVE, BELOW) == ""


@pytest.mark.parametrize(
    ("above", "below", "fault"),
    [
        pytest.param(ABOVE, replace(BELOW, serial_below="0c"), "serial on the wire 0c", id="serial"),
        pytest.param(ABOVE, replace(BELOW, serial_below=""), "serial on the wire none", id="no-serial"),
        pytest.param(ABOVE, replace(BELOW, peer_below=""), "the callee saw nobody", id="no-client"),
        pytest.param(ABOVE, replace(BELOW, peer_below=DETAILS), "the callee saw spiffe:", id="client"),
        pytest.param(replace(ABOVE, peer_above=""), BELOW, "the caller saw nobody", id="plaintext"),
        pytest.param(replace(ABOVE, peer_above=PAGE), BELOW, "the caller saw spiffe:", id="server"),
        pytest.param(replace(ABOVE, code=503, flags="UF"), None, "answered 503 (UF", id="unreachable"),
        pytest.param(ABOVE, None, "the callee logged 0 calls", id="not-arrived"),
        pytest.param(ABOVE, replace(BELOW, request_id="x"), "the callee logged 0 calls", id="other-id"),
        pytest.param(replace(ABOVE, path="/two"), BELOW, "the caller logged 0 calls", id="other-path"),
    ],
)
def test_a_call_that_is_not_mutual_tls_is_named(
    above: AccessLine, below: AccessLine | None, fault: str
) -> None:
    assert fault in faults(above, below)


def test_only_serials_of_spires_certificates_count() -> None:
    ca, other = mint.intermediate(mint.authority()), mint.intermediate(mint.authority())
    leaves = [mint.leaf(ca), mint.leaf(other)]
    svids = [ProxySvid(leaf.chain, TrustBundle((leaf.root,)), ()) for leaf in leaves]
    key_id = x509.SubjectKeyIdentifier.from_public_key(ca.cert.public_key()).digest.hex()
    assert issued_serials(svids, {key_id}) == {serial_hex(leaves[0].cert)}


def test_a_hop_is_complete_when_both_have_logged_or_it_failed() -> None:
    def complete(above: list[AccessLine], below: list[AccessLine]) -> bool:
        return hop_of("productpage", "details", "/one", above, below).complete

    assert complete([ABOVE], [BELOW])
    assert complete([replace(ABOVE, code=503)], [])
    assert not complete([ABOVE], [])
    assert not complete([], [BELOW])


def test_a_proxys_own_call_is_not_taken_for_the_one_it_served() -> None:
    onward = replace(ABOVE, cluster="outbound|9080||ratings.bookinfo.svc.cluster.local")
    hop = hop_of("productpage", "details", "/one", [ABOVE], [BELOW, onward])
    assert hop.callees == (BELOW,)


def test_a_reset_that_the_proxy_logged_is_a_refusal() -> None:
    assert refusal_faults(Reply(0, RESET), [REFUSAL], "/one", attempts=1) == []


@pytest.mark.parametrize(
    ("reply", "log", "fault"),
    [
        pytest.param(Reply(200), [REFUSAL], "answered 200 without TLS", id="served"),
        pytest.param(Reply(0, RESET), [], "logged 0 refusals", id="somebody-else"),
        pytest.param(Reply(0, "EOF"), [REFUSAL], "ended by 'EOF'", id="orderly-end"),
        pytest.param(Reply(0, "connection refused"), [], "ended by 'connection refused'", id="down"),
        pytest.param(Reply(0, RESET), [REFUSAL, BELOW], "took it as a request", id="both"),
        pytest.param(Reply(0, RESET), [replace(REFUSAL, flags="UF")], "logged 0 refusals", id="flag"),
    ],
)
def test_what_is_no_refusal_is_named(reply: Reply, log: list[AccessLine], fault: str) -> None:
    assert fault in "; ".join(refusal_faults(reply, log, "/one", attempts=1))


def test_access_lines_are_picked_out_of_a_proxys_log() -> None:
    entry = {
        "path": None,
        "response_code": 0,
        "response_code_details": "filter_chain_not_found",
        "response_flags": "NR",
        "upstream_cluster": None,
        "downstream_transport_failure_reason": "TLS_error:HTTP_REQUEST",
        "upstream_transport_failure_reason": None,
    }
    text = f'2026-11-24T22:42:22Z\twarn\tx\n{{"level":"info"}}\n{{"cut": \n{json.dumps(entry)}\n'
    assert parse_access_log(text) == [REFUSAL]


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        pytest.param("HTTP/1.1 200 OK\r\ndate: x", Reply(200), id="answered"),
        pytest.param('{"msg":"x"}\nHTTP/1.1 503 No\r\n', Reply(503), id="error"),
        pytest.param(
            '{"level":"warn","msg":"[E] Read error, err=\\"read tcp 10.244.1.26:36872->10.244.0.7:'
            '9080: read: connection reset by peer\\", size=0"}',
            Reply(0, RESET),
            id="reset",
        ),
        pytest.param(
            '{"msg":"[E] Unable to connect, err=\\"connection refused\\""}',
            Reply(0, "connection refused"),
            id="refused",
        ),
        pytest.param('error: unable to upgrade connection: container not found ("app")', None, id="kubectl"),
    ],
)
def test_fortios_words_are_understood(text: str, reply: Reply | None) -> None:
    assert parse_fortio(text) == reply


DENIED = replace(BELOW, code=403, details=NO_ACCESS)
LET_IN = [BELOW, replace(DENIED, path="/two")]


def test_a_policys_verdict_is_an_answer_and_a_line_with_the_caller() -> None:
    assert no_access_faults(Reply(403), LET_IN, "/two", caller_id=PAGE) == []
    assert access_faults(Reply(200), LET_IN, "/one", caller_id=PAGE) == []


@pytest.mark.parametrize(
    ("reply", "line", "fault"),
    [
        pytest.param(Reply(200), DENIED, "answered 200, not 403", id="let-in"),
        pytest.param(Reply(0, RESET), DENIED, f"answered 0 {RESET}, not 403", id="no-answer"),
        pytest.param(Reply(403), None, "logged nothing", id="somebody-else"),
        pytest.param(Reply(403), replace(DENIED, details="via_upstream"), "via_upstream", id="application"),
        pytest.param(Reply(403), replace(DENIED, peer_below=DETAILS), f"of {DETAILS}", id="another"),
        pytest.param(Reply(403), replace(DENIED, peer_below=""), "of nobody", id="nobody"),
        pytest.param(Reply(403), BELOW, "logged ['200", id="logged-as-let-in"),
    ],
)
def test_what_is_no_denial_is_named(reply: Reply, line: AccessLine | None, fault: str) -> None:
    log = [line] if line else []
    assert fault in "; ".join(no_access_faults(reply, log, "/one", caller_id=PAGE))


def test_who_is_denied_was_not_let_in() -> None:
    faults = "; ".join(access_faults(Reply(403), [DENIED], "/one", caller_id=PAGE))
    assert "answered 403, not 200" in faults
    assert "not one 200 via_upstream" in faults


WRONG_NAME = "TLS_error:|268435581:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_SAN_match"
UNBELIEVED = replace(ABOVE, code=503, flags="UF,URX", tls_error_above=WRONG_NAME)


def test_a_callee_of_another_name_gets_no_request() -> None:
    assert unbelieved_faults(Reply(503), [UNBELIEVED], [replace(BELOW, path="/two")], "/one") == []


@pytest.mark.parametrize(
    ("reply", "above", "below", "fault"),
    [
        pytest.param(Reply(200), [UNBELIEVED], [], "answered 200, not 503", id="served"),
        pytest.param(Reply(503), [], [], "the caller logged 0 calls", id="not-called"),
        pytest.param(Reply(503), [UNBELIEVED], [BELOW], "the callee got the request", id="arrived"),
        pytest.param(
            Reply(503), [replace(UNBELIEVED, flags="UH")], [], "the caller logged 503 (UH", id="no-endpoint"
        ),
        pytest.param(
            Reply(503), [replace(UNBELIEVED, tls_error_above="")], [], "gives the reason none", id="no-reason"
        ),
        pytest.param(
            Reply(503),
            [replace(UNBELIEVED, tls_error_above="CERTIFICATE_VERIFY_FAILED:certificate_has_expired")],
            [],
            "gives the reason CERTIFICATE_VERIFY_FAILED:certificate_has_expired",
            id="expired",
        ),
    ],
)
def test_what_is_no_secure_naming_is_named(
    reply: Reply, above: list[AccessLine], below: list[AccessLine], fault: str
) -> None:
    assert fault in "; ".join(unbelieved_faults(reply, above, below, "/one"))


ECHO = """GET /debug?one HTTP/1.1

headers:

X-Forwarded-Client-Cert: By=spiffe://a/gw;Hash=aa;Cert="-----BEGIN%20";Subject="CN=c,O=SPIRE";URI=spiffe://a/c,\
By=spiffe://a/w;Hash=bb;Subject="CN=\\"gw\\";x,O=y";URI=spiffe://a/gw;DNS=gw.svc
X-Request-Id: id-1
"""
CLIENTS = forwarded_clients(ECHO.replace("\\\n", ""))
EXPECTED = [("spiffe://a/gw", "spiffe://a/c"), ("spiffe://a/w", "spiffe://a/gw")]


def test_each_proxys_element_is_read_whatever_stands_in_quotes() -> None:
    assert [(one["By"], one["URI"], one["Hash"]) for one in CLIENTS] == [
        ("spiffe://a/gw", "spiffe://a/c", "aa"),
        ("spiffe://a/w", "spiffe://a/gw", "bb"),
    ]
    assert CLIENTS[0]["Subject"] == "CN=c,O=SPIRE"
    assert forwarded_faults(CLIENTS, EXPECTED, {"bb"}) == []


@pytest.mark.parametrize(
    ("clients", "hashes", "fault"),
    [
        pytest.param([], {"bb"}, "told of no client certificate", id="none"),
        pytest.param(CLIENTS[1:], {"bb"}, "told of spiffe://a/gw (by spiffe://a/w)", id="one-is-missing"),
        pytest.param([{"URI": "spiffe://liar"}, *CLIENTS], {"bb"}, "spiffe://liar (by nobody)", id="liar"),
        pytest.param([CLIENTS[0], {**CLIENTS[1], "URI": ""}], {"bb"}, "then nobody", id="nobody"),
        pytest.param(CLIENTS, {"aa"}, "did not hold (bb)", id="hash"),
    ],
)
def test_who_was_told_of_another_caller_is_named(
    clients: list[dict[str, str]], hashes: set[str], fault: str
) -> None:
    assert fault in "; ".join(forwarded_faults(clients, EXPECTED, hashes))


def test_an_echo_without_the_header_names_nobody() -> None:
    assert forwarded_clients("GET / HTTP/1.1\n\nHost: x\n") == []
