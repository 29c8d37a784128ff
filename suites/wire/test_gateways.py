"""Calls through the gateways: which identity the workload behind them sees."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import yaml

from fixtures.cluster.kube import Object
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.probe.layout import DEMO, ISTIO
from fixtures.probe.wire import forwarded_clients, forwarded_faults
from fixtures.report.catalogue import conformance
from suites.wire.bookinfo import (
    CLIENT,
    EGRESS,
    INGRESS,
    PORT,
    Bookinfo,
    applied,
    await_fresh,
    held_meanwhile,
    unique_path,
)
from suites.wire.calls import await_hops, await_lines, judge
from suites.wire.knocking import OUTSIDER

_BEHIND = "details"
_TLS_PORT = 443
_HOST = "gateway.meshproof.example"
# What a client claims of itself in this header must not reach a workload.
_LIE = "X-Forwarded-Client-Cert: By=spiffe://liar;Hash=00;URI=spiffe://liar"


@conformance(id="wire/ingress-serves-spire-identity", requires={"spire"})
@pytest.mark.usefixtures("outside", "one_request_per_connection")
def test_ingress_presents_its_own_identity(bookinfo: Bookinfo) -> None:
    """The ingress gateway calls workloads with its SVID of SPIRE's, and its name reaches the application.

    > "The following keys are supported by the XFCC header: By: The Subject Alternative Name (URI type) of
    > the current proxy's certificate [...] Hash: The SHA 256 digest of the current client certificate [...]
    > URI: The URI type Subject Alternative Name field of the current client certificate" (Envoy,
    > X-Forwarded-Client-Cert).

    The client is outside the mesh and lies about itself in that header. The application echoes what it got:
    one element, by its own proxy, with the gateway's SPIFFE ID, and the hash of a certificate that the
    gateway held. The proxy's access log has its serial.

    Break: the gateway with a certificate of istiod's; a gateway that forwards what the client says.
    """
    path, start = f"/debug?{unique_path()}", datetime.now(UTC)
    with (
        applied(bookinfo.kube, yaml.safe_dump_all(_ingress())),
        held_meanwhile(bookinfo, [INGRESS]) as held,
    ):
        await_fresh(bookinfo, [(INGRESS, _BEHIND)])
        _await_route(bookinfo, INGRESS)
        url = f"http://{INGRESS}.{ISTIO}:80{path}"
        reply = bookinfo.get(url, sender=OUTSIDER, headers=[f"Host: {_HOST}", _LIE])
    faults = [] if reply.code == 200 else [f"the client got {reply.code} {reply.error}"]
    faults += judge(bookinfo, await_hops(bookinfo, [(INGRESS, _BEHIND, path)], start), held)
    expected = [(bookinfo.spiffe_id(_BEHIND), bookinfo.spiffe_id(INGRESS))]
    faults += forwarded_faults(forwarded_clients(reply.printed), expected, held.fingerprints(INGRESS))
    assert not faults, "; ".join(faults)


@conformance(id="wire/egress-serves-spire-identity", requires={"spire"})
@pytest.mark.usefixtures("one_request_per_connection")
def test_egress_presents_its_own_identity(bookinfo: Bookinfo) -> None:
    """The egress gateway presents its SVID of SPIRE's to both sides, and its name reaches the application.

    > Istio, Gateway, ISTIO_MUTUAL: "this mode uses certificates, representing gateway workload identity,
    > generated automatically by Istio for mTLS authentication"; here SPIRE generates them.

    The meshed client calls a host of our own, which is routed through the gateway to a workload. The
    client's proxy sees the gateway's SPIFFE ID, the gateway the client's; the workload's sees the serial
    of the gateway, and the application is told of both, one after the other.

    Break: the gateway with a certificate of istiod's; plaintext between client and gateway.
    """
    path, start = f"/debug?{unique_path()}", datetime.now(UTC)
    with (
        applied(bookinfo.kube, yaml.safe_dump_all(_egress())),
        held_meanwhile(bookinfo, [EGRESS]) as held,
    ):
        await_fresh(bookinfo, [(EGRESS, _BEHIND)])
        _await_route(bookinfo, EGRESS)
        wait_for(
            lambda: bookinfo.listens(EGRESS, _TLS_PORT),
            bool,
            condition=f"the proxy of {EGRESS} listens at its port {_TLS_PORT}",
            timeout=timeouts().manifest_applied,
            delay=0.5,
        )
        _await_route(bookinfo, CLIENT)
        url = f"http://{EGRESS}.{ISTIO}:80{path}"
        reply = bookinfo.get(url, headers=[f"Host: {_HOST}", _LIE])
    faults = [] if reply.code == 200 else [f"the client got {reply.code} {reply.error}"]
    faults += judge(bookinfo, await_hops(bookinfo, [(EGRESS, _BEHIND, path)], start), held)
    ids = {name: bookinfo.spiffe_id(name) for name in (CLIENT, EGRESS, _BEHIND)}
    # A gateway gives a request another id, so that only its path tells what belongs together here.
    logs = await_lines(bookinfo, [CLIENT, EGRESS], [path], start)
    above = {line.peer_above or "nobody" for line in logs[CLIENT] if line.path == path}
    below = {line.peer_below or "nobody" for line in logs[EGRESS] if line.path == path}
    if (above, below) != ({ids[EGRESS]}, {ids[CLIENT]}):
        faults.append(f"{CLIENT} -> {EGRESS}: the caller saw {above}, the callee saw {below}")
    expected = [(ids[EGRESS], ids[CLIENT]), (ids[_BEHIND], ids[EGRESS])]
    faults += forwarded_faults(forwarded_clients(reply.printed), expected, held.fingerprints(EGRESS))
    assert not faults, "; ".join(faults)


def _await_route(bookinfo: Bookinfo, name: str) -> None:
    wait_for(
        lambda: _HOST in bookinfo.routes(name),
        bool,
        condition=f"the proxy of {name} has a route for {_HOST}",
        timeout=timeouts().manifest_applied,
        delay=0.5,
    )


def _ingress() -> list[Object]:
    name = "meshproof-ingress"
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [_HOST]}
    return [
        _object("Gateway", name, {"selector": {"istio": "ingressgateway"}, "servers": [server]}),
        _object("VirtualService", name, {"hosts": [_HOST], "gateways": [name], "http": [_to_workload()]}),
    ]


def _egress() -> list[Object]:
    name = "meshproof-egress"
    gateway = f"{EGRESS}.{ISTIO}.svc.cluster.local"
    server = {
        "port": {"number": _TLS_PORT, "name": "tls", "protocol": "HTTPS"},
        "hosts": [_HOST],
        "tls": {"mode": "ISTIO_MUTUAL"},
    }
    to_gateway = {
        "match": [{"gateways": ["mesh"]}],
        "route": [{"destination": {"host": gateway, "port": {"number": _TLS_PORT}}}],
    }
    onward = {"match": [{"gateways": [name]}], **_to_workload()}
    mutual = {"host": gateway, "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL", "sni": _HOST}}}
    routes = {"hosts": [_HOST], "gateways": ["mesh", name], "http": [to_gateway, onward]}
    return [
        _object("Gateway", name, {"selector": {"istio": "egressgateway"}, "servers": [server]}),
        _object("DestinationRule", name, mutual),
        _object("VirtualService", name, routes),
    ]


def _to_workload() -> Object:
    host = f"{_BEHIND}.{DEMO}.svc.cluster.local"
    return {"route": [{"destination": {"host": host, "port": {"number": PORT}}}]}


def _object(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": DEMO}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
