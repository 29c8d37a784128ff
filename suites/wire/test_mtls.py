"""Mutual TLS between the workloads, as the two proxies of each call saw it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from fixtures.cluster.kube import Kube
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.probe.layout import DEMO, ISTIO
from fixtures.probe.pods import ManagedPod
from fixtures.probe.sds import ProxySvid, proxy_svid
from fixtures.probe.spire import signing_authorities
from fixtures.probe.wire import Hop, hop_faults, hop_of, issued_serials
from fixtures.report.catalogue import conformance
from fixtures.session import Mesh
from suites.wire.bookinfo import CLIENT, GATEWAY, PORT, SERVERS, Bookinfo, unique_path

_FROM_CLIENT = (
    (CLIENT, "productpage"),
    ("productpage", "details"),
    ("productpage", "reviews"),
    ("reviews", "ratings"),
)
_FROM_GATEWAY = ((GATEWAY, "productpage"),)
_CALLS = _FROM_CLIENT + _FROM_GATEWAY
_CALLERS = tuple(dict.fromkeys(caller for caller, _ in _CALLS))

_ONE_REQUEST_PER_CONNECTION = f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: meshproof-fresh-connections
  namespace: {DEMO}
spec:
  host: "*.{DEMO}.svc.cluster.local"
  trafficPolicy:
    connectionPool:
      http: {{maxRequestsPerConnection: 1}}
"""


@conformance(id="wire/mtls-strict")
def test_mtls_strict(own_mesh: Mesh, bookinfo: Bookinfo) -> None:
    """Every call between workloads is mutual TLS with the SVIDs that SPIRE gave their proxies.

    > Istio, PeerAuthentication, STRICT: "Connection is an mTLS tunnel (TLS with client cert must
    > be presented)."

    Each proxy tells who was at the other end, and the callee's the serial that was on the wire:
    it must be one of SPIRE's that the caller's proxy held before or after the request, so that a
    renewal in between does no harm. A proxy keeps a connection for much longer than a certificate lives, and
    the serial is the handshake's: each request here gets a connection of its own.

    Break: mTLS disabled for one workload, or a proxy with a certificate of istiod's.
    """
    kube, start = own_mesh.kube, datetime.now(UTC)
    path, gateway_path = unique_path(), unique_path()
    held: dict[str, list[ProxySvid]] = defaultdict(list)
    authorities = signing_authorities(kube)
    with _fresh_connections(kube, bookinfo):
        _note_svids(bookinfo, held)
        bookinfo.get(f"http://productpage:{PORT}{path}")
        bookinfo.get(f"http://{GATEWAY}.{ISTIO}:80{gateway_path}")
        _note_svids(bookinfo, held)
    authorities |= signing_authorities(kube)

    def observe() -> list[Hop]:
        logs = bookinfo.access_logs((*_CALLERS, *SERVERS[1:]), start)
        return [
            hop_of(caller, callee, path_of, logs[caller], logs[callee])
            for calls, path_of in ((_FROM_CLIENT, path), (_FROM_GATEWAY, gateway_path))
            for caller, callee in calls
        ]

    hops = wait_for(
        observe,
        _is_over,
        condition="the access logs show every call of the two requests",
        timeout=timeouts().log_line,
    )
    faults = []
    for hop in hops:
        ids = {name: _spiffe_id(own_mesh, bookinfo.pods[name]) for name in (hop.caller, hop.callee)}
        found = hop_faults(
            hop,
            caller_id=ids[hop.caller],
            callee_id=ids[hop.callee],
            serials=issued_serials(held[hop.caller], authorities),
        )
        faults += [f"{hop.caller} -> {hop.callee}: {fault}" for fault in found]
    assert not faults, "; ".join(faults)


@contextmanager
def _fresh_connections(kube: Kube, bookinfo: Bookinfo) -> Iterator[None]:
    kube.apply(_ONE_REQUEST_PER_CONNECTION)
    try:
        wait_for(
            lambda: [call for call in _CALLS if not _is_fresh(bookinfo, *call)],
            lambda waiting: not waiting,
            condition="no proxy uses a connection twice",
            timeout=timeouts().manifest_applied,
            delay=0.5,
        )
        yield
    finally:
        kube.remove(_ONE_REQUEST_PER_CONNECTION)


def _is_fresh(bookinfo: Bookinfo, caller: str, callee: str) -> bool:
    """Ask the caller's proxy; with a new configuration of a cluster Envoy drops its connections."""
    pod = bookinfo.pods[caller]
    clusters = f"config_dump?resource=dynamic_active_clusters&name_regex=outbound.{PORT}..{callee}.*"
    request = ("pilot-agent", "request", "GET", clusters)
    text = bookinfo.kube.exec(pod.namespace, pod.name, "istio-proxy", *request)
    return '"max_requests_per_connection": 1' in text


def _note_svids(bookinfo: Bookinfo, held: dict[str, list[ProxySvid]]) -> None:
    for name in _CALLERS:
        pod = bookinfo.pods[name]
        held[name].append(proxy_svid(bookinfo.kube, pod.namespace, pod.name))


def _is_over(hops: Collection[Hop]) -> bool:
    """Say whether all calls are logged; one that failed keeps its callee from calling on."""
    failed = {hop.callee for hop in hops if any(line.code != 200 for line in hop.callers)}
    return all(hop.complete or hop.caller in failed for hop in hops)


def _spiffe_id(mesh: Mesh, pod: ManagedPod) -> str:
    return f"spiffe://{mesh.trust_domain}/ns/{pod.namespace}/sa/{pod.service_account}"
