from __future__ import annotations

from datetime import UTC, datetime

from fixtures.probe.newcomer import disbelief, first_certificate

SIGNED = "2026-11-25T01:31:57.920879Z\tinfo\tcache\tgenerated new workload certificate\tresourceName=default"
REFUSED = (
    "2026-11-25T01:57:50.396033Z\terror\tcitadelclient\tfailed to sign CSR: create certificate: rpc error: "
    'desc = "transport: authentication handshake failed: tls: failed to verify certificate: x509: unknown"'
)
AWAY = REFUSED.replace("tls: failed to verify certificate", "connection refused")


def test_first_certificate_is_the_first_of_several() -> None:
    later = SIGNED.replace("01:31:57", "02:31:57")

    moment = first_certificate(f"Envoy: starting\n{SIGNED}\n{later}")

    assert moment == datetime(2026, 11, 25, 1, 31, 57, 920879, tzinfo=UTC)


def test_log_without_a_certificate_tells_no_moment() -> None:
    assert first_certificate(REFUSED) is None


def test_agent_that_refuses_istiod_again_and_again_does_not_believe_it() -> None:
    assert "x509: unknown" in disbelief("\n".join([REFUSED] * 3))


def test_agent_that_refuses_istiod_for_a_moment_may_come_round() -> None:
    assert disbelief("\n".join([REFUSED] * 2)) == ""


def test_istiod_that_is_away_is_not_disbelieved() -> None:
    assert disbelief("\n".join([AWAY] * 9)) == ""
