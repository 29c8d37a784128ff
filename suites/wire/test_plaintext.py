"""Requests without TLS to workloads that want it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.probe.wire import AccessLine, refusal_faults
from fixtures.report.catalogue import conformance
from fixtures.session import Mesh
from suites.wire.bookinfo import CLIENT, PORT, SERVERS, Bookinfo, unique_path
from suites.wire.knocking import OUTSIDER


@conformance(id="wire/plaintext-refused")
@pytest.mark.usefixtures("outside")
def test_plaintext_refused(own_mesh: Mesh, bookinfo: Bookinfo) -> None:
    """A request without TLS is refused by every workload's proxy, by a reset of the connection.

    > Envoy, response flag NR: "No route configured for a given request in addition to 404 response
    > code, or no matching filter chain for a downstream connection."

    The callee's proxy has logged the refusal, and the meshed client is served at the same address:
    a workload that is down does not pass for one that refuses.

    Break: a PeerAuthentication with PERMISSIVE for one workload.
    """
    start = datetime.now(UTC)
    paths = {name: unique_path() for name in SERVERS}
    control_paths = {name: unique_path() for name in SERVERS}
    replies = {
        name: bookinfo.get(f"http://{bookinfo.address(name)}:{PORT}{path}", sender=OUTSIDER)
        for name, path in paths.items()
    }
    controls = {name: bookinfo.get(f"http://{name}:{PORT}{path}") for name, path in control_paths.items()}
    faults = [f"{name}: {CLIENT} got {one}" for name, one in controls.items() if one.code != 200]

    def served(logs: dict[str, list[AccessLine]]) -> bool:
        return all(
            _peer(logs[name], control_paths[name]) for name, reply in controls.items() if reply.code == 200
        )

    # A proxy writes its log in order: where the later request is, the earlier refusal is as well.
    logs = wait_for(
        lambda: bookinfo.access_logs(SERVERS, start),
        served,
        condition="each proxy has logged the meshed client's request",
        timeout=timeouts().log_line,
    )
    for name, reply in replies.items():
        found = refusal_faults(reply, logs[name], paths[name], attempts=1)
        faults += [f"{name}: {fault}" for fault in found]
    reasons = {line.tls_error for log in logs.values() for line in log if line.is_refusal}
    own_mesh.measure("wire.plaintextRefusedFor", ", ".join(sorted(reasons)))
    assert not faults, "; ".join(faults)


def _peer(log: list[AccessLine], path: str) -> str:
    """Return who sent the request with that path over TLS; empty where nobody has, yet."""
    return next((line.peer_below for line in log if line.path == path and line.peer_below), "")
