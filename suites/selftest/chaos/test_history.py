from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.chaos.history import Gathering, Operation, from_logs, read, write

ID = "spiffe://example.org/ns/bookinfo/sa/bookinfo-details"


def line(**deviations: object) -> str:
    """One line of productpage's access log, about a call of details that went well."""
    entry = {
        "start_time": "2030-01-01T12:00:00.250Z",
        "path": "/load/1/",
        "authority": "details:9080",
        "response_code": 200,
        "response_code_details": "via_upstream",
        "response_flags": "-",
        "request_id": "r1",
        "upstream_cluster": "outbound|9080||details.bookinfo.svc.cluster.local",
        "upstream_attempt_count": 1,
        "upstream_peer_uri_san": ID,
        "upstream_transport_failure_reason": None,
        "downstream_peer_serial": None,
    }
    return json.dumps({**entry, **deviations})


def test_an_outbound_line_is_an_operation_and_the_inbound_one_adds_the_serial() -> None:
    inbound = line(upstream_cluster="inbound|9080||", downstream_peer_serial="5e")
    assert from_logs({"productpage": [line()], "details": [inbound]}) == (
        Operation(
            time=datetime(2030, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC),
            caller="productpage",
            target="details",
            outcome="ok",
            code=200,
            flags="",
            reason="",
            attempts=1,
            peer_id=ID,
            peer_serial="5e",
            request_id="r1",
        ),
    )


@pytest.mark.parametrize(
    ("deviations", "outcome", "reason"),
    [
        ({"response_code": 204}, "ok", ""),
        ({"response_code": 503}, "fail", "via_upstream"),
        (
            {"response_code": 503, "upstream_transport_failure_reason": "TLS_error"},
            "fail",
            "TLS_error",
        ),
        ({"response_code": 0, "response_code_details": "downstream"}, "fail", "downstream"),
        ({"response_code": None, "response_code_details": None}, "info", ""),
    ],
    ids=["2xx", "5xx", "transport", "no-answer", "no-code"],
)
def test_outcome_and_reason(deviations: dict[str, object], outcome: str, reason: str) -> None:
    (one,) = from_logs({"productpage": [line(**deviations)]})
    assert (one.outcome, one.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("deviations", "outcome", "reason"),
    [
        ({"grpc_status": 0}, "ok", ""),
        ({"grpc_status": None}, "ok", ""),
        ({"grpc_status": 14}, "fail", "gRPC status 14: via_upstream"),
        (
            {"grpc_status": 14, "upstream_transport_failure_reason": "TLS_error"},
            "fail",
            "gRPC status 14: TLS_error",
        ),
        ({"grpc_status": 14, "response_code": 503}, "fail", "via_upstream"),
    ],
    ids=["ok", "no-grpc", "failed", "transport", "with-a-code"],
)
def test_grpc_fails_behind_a_200(deviations: dict[str, object], outcome: str, reason: str) -> None:
    (one,) = from_logs({"productpage": [line(**deviations)]})
    assert (one.outcome, one.reason) == (outcome, reason)


def test_a_line_that_comes_twice_counts_once() -> None:
    gathering = Gathering()
    for _ in range(2):
        gathering.add("productpage", line())
    gathering.add("productpage", line(request_id="r2"))
    assert [one.request_id for one in gathering.history()] == ["r1", "r2"]


def test_what_the_other_end_says_may_come_later() -> None:
    inbound = line(upstream_cluster="inbound|9080||", downstream_peer_serial="5e")
    gathering = Gathering()
    gathering.add("productpage", line())
    assert [one.peer_serial for one in gathering.history()] == [""]
    gathering.add("details", inbound)
    assert [one.peer_serial for one in gathering.history()] == ["5e"]


def test_two_services_may_be_of_one_application() -> None:
    inbound = line(upstream_cluster="inbound|9080||", downstream_peer_serial="5e")
    gathering = Gathering(served_by={"details": "old-guard"})
    gathering.add("productpage", line())
    gathering.add("old-guard", inbound)
    assert [one.peer_serial for one in gathering.history()] == ["5e"]


def test_several_loads_are_taken_by_their_paths() -> None:
    gathering = Gathering(("/load/1/", "/fgrpc"))
    for place, path in enumerate(("/load/1/x", "/load/2/", "/fgrpc.PingServer/Ping")):
        gathering.add("productpage", line(path=path, request_id=f"r{place}"))
    assert [one.request_id for one in gathering.history()] == ["r0", "r2"]


def test_where_no_cluster_was_chosen_the_authority_says_who_was_asked() -> None:
    refused = line(upstream_cluster=None, response_code=404, authority="details:9080")
    (one,) = from_logs({"productpage": [refused], "details": [refused]})
    assert (one.caller, one.target, one.outcome) == ("productpage", "details", "fail")


def test_everything_else_in_the_log_is_skipped() -> None:
    noise = [
        "2030-01-01T12:00:00Z\tinfo\txdsproxy\tconnected",
        '{"level":"info","msg":"not of the access log"}',
        '{"cut off',
        "[]",
        "",
    ]
    assert from_logs({"productpage": [*noise, line()]}) == from_logs({"productpage": [line()]})


def test_only_the_load_asked_for_is_taken() -> None:
    other = line(path="/load/2/")
    (one,) = from_logs({"productpage": [other, line()]}, path="/load/1/")
    assert one.request_id == "r1"


def test_operations_come_in_the_order_of_time() -> None:
    early = line(start_time="2030-01-01T11:00:00Z", request_id="r0")
    found = from_logs({"productpage": [line(), early]})
    assert [one.request_id for one in found] == ["r0", "r1"]


def test_what_began_late_is_given_apart() -> None:
    gathering = Gathering()
    gathering.add("productpage", line(start_time="2030-01-01T11:00:00Z", request_id="r0"))
    gathering.add("productpage", line(start_time="2030-01-01T11:00:05Z", request_id="r1"))
    late = gathering.since(datetime(2030, 1, 1, 11, 0, 5, tzinfo=UTC))
    assert [one.request_id for one in late] == ["r1"]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    history = from_logs({"productpage": [line(), line(response_code=503)]})
    write(tmp_path / "history.jsonl", history)
    assert read(tmp_path / "history.jsonl") == history


@pytest.mark.parametrize("spoilt", ["{}", "no json", '"text"'])
def test_a_spoilt_line_is_named(tmp_path: Path, spoilt: str) -> None:
    path = tmp_path / "history.jsonl"
    write(path, from_logs({"productpage": [line()]}))
    with path.open("a") as file:
        file.write(spoilt + "\n")
    with pytest.raises(ValueError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:2 is no operation")
