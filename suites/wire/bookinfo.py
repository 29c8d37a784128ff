"""Requests between the workloads of Bookinfo and through the gateways, and what the proxies log of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import yaml

from fixtures.cluster.kube import POD, Kube
from fixtures.cluster.run import CommandError
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.pki import fingerprint
from fixtures.probe.envoy import ask_envoy, parse_config
from fixtures.probe.layout import DEMO, TRUST_DOMAIN
from fixtures.probe.pods import ManagedPod, at_once, meshed_pods
from fixtures.probe.sds import ProxySvid, proxy_svid
from fixtures.probe.spire import signing_authorities
from fixtures.probe.wire import AccessLine, Reply, issued_serials, parse_access_log, parse_fortio
from fixtures.report.outcomes import NothingObserved

CLIENT = "client"
INGRESS = "istio-ingressgateway"
EGRESS = "istio-egressgateway"
SERVERS = ("productpage", "details", "reviews", "ratings")
PORT = 9080
# fortio echoes there what it is sent; no Service has this port.
ECHO_PORT = 8078
_OUTBOUND = f"resource=dynamic_active_clusters&name_regex=outbound.{PORT}.*"
_NOT_IN_FORCE = ("warming_state", "draining_state")
_ONE_REQUEST = '"max_requests_per_connection": 1'


@dataclass(frozen=True)
class Bookinfo:
    """The pods of Bookinfo and of the gateways by workload, one each."""

    kube: Kube
    pods: Mapping[str, ManagedPod]

    def get(self, url: str, *, sender: str = "", headers: Iterable[str] = ()) -> Reply:
        """Send one request from a pod of fortio's, from the meshed client's without a name.

        Raises:
            CommandError: No request was sent.
            NothingObserved: fortio does not say what became of it.
        """
        pod = sender or self.pods[CLIENT].name
        words = [word for header in headers for word in ("-H", header)]
        try:
            # fortio reports on its standard error, what it got and what it did not.
            printed = self.kube.exec(DEMO, pod, "app", "/usr/bin/fortio", "curl", *words, url, merge=True)
        except CommandError as error:
            printed = error.stdout
            if parse_fortio(printed) is None:
                raise
        reply = parse_fortio(printed)
        if reply is None:
            raise NothingObserved(f"fortio does not say what became of {url}: {printed[-500:]}")
        return reply

    def access_logs(self, workloads: Iterable[str], since: datetime) -> dict[str, list[AccessLine]]:
        """Return what the proxies of these workloads have written to their access logs."""
        # The nodes' clocks may be a little behind ours; what is sought has a mark of its own.
        begin = since - timedelta(seconds=1)
        names = tuple(workloads)
        texts = at_once(
            lambda pod: self.kube.logs(pod.namespace, pod.name, "istio-proxy", since=begin),
            [self.pods[name] for name in names],
        )
        return {name: parse_access_log(text) for name, text in zip(names, texts, strict=True)}

    def address(self, name: str) -> str:
        """Return the IP address of a workload's pod."""
        pod = self.pods[name]
        return str(self.kube.get(POD, pod.name, pod.namespace)["status"]["podIP"])

    def spiffe_id(self, name: str) -> str:
        """Return the SPIFFE ID that a workload has to have, by its service account."""
        pod = self.pods[name]
        return f"spiffe://{TRUST_DOMAIN}/ns/{pod.namespace}/sa/{pod.service_account}"

    def admin(self, pod: ManagedPod, query: str) -> str:
        """Ask the Envoy of a pod by its admin interface."""
        return ask_envoy(self.kube, pod.namespace, pod.name, query)

    def config(self, pod: ManagedPod, query: str) -> list[str]:
        """Return parts of the configuration in force of a pod's Envoy, each as JSON text."""
        # What a listener is to be, once it has warmed up, does not count yet, nor what it was.
        return [
            json.dumps({key: value for key, value in one.items() if key not in _NOT_IN_FORCE})
            for one in parse_config(self.admin(pod, f"config_dump?{query}"))
        ]

    def inbound(self, name: str) -> str:
        """Return by what rules a workload's proxy takes requests from others, as JSON text."""
        query = "resource=dynamic_listeners&name_regex=virtualInbound"
        return "".join(self.config(self.pods[name], query))

    def outbound(self, name: str) -> list[str]:
        """Return how a workload's proxy calls each service of Bookinfo, as JSON text."""
        return self.config(self.pods[name], _OUTBOUND)

    def listens(self, name: str, port: int) -> bool:
        """Say whether a workload's proxy listens at a port for others, as a gateway does."""
        found = self.config(self.pods[name], "resource=dynamic_listeners")
        return any(f'"address": "0.0.0.0", "port_value": {port}' in one for one in found)

    def routes(self, name: str) -> str:
        """Return the routes of a workload's proxy, as JSON text."""
        return "".join(self.config(self.pods[name], "resource=dynamic_route_configs"))

    def adopt(self, name: str, pod: ManagedPod) -> Bookinfo:
        """Return the same with one more workload."""
        return Bookinfo(self.kube, {**self.pods, name: pod})


@dataclass(frozen=True)
class Held:
    """The certificates that proxies held at several moments, and SPIRE's CAs meanwhile.

    Attributes:
        svids: By workload.
        authorities: The key ids of SPIRE's CAs, in hex.
    """

    svids: dict[str, list[ProxySvid]] = field(default_factory=lambda: defaultdict(list))
    authorities: set[str] = field(default_factory=set)

    def serials(self, name: str, authorities: Collection[str] = ()) -> set[str]:
        """Return the serials of a workload's certificates that SPIRE, or these authorities, signed."""
        return issued_serials(self.svids[name], authorities or self.authorities)

    def fingerprints(self, name: str) -> set[str]:
        """Return SHA-256 of a workload's certificates, in hex."""
        return {fingerprint(svid.leaf) for svid in self.svids[name]}


@contextmanager
def held_meanwhile(bookinfo: Bookinfo, names: Collection[str]) -> Iterator[Held]:
    """Note what proxies hold before and after the block, so that a renewal in between does no harm."""
    held = Held()

    def note() -> None:
        held.authorities.update(signing_authorities(bookinfo.kube))
        svids = at_once(
            lambda pod: proxy_svid(bookinfo.kube, pod.namespace, pod.name),
            [bookinfo.pods[name] for name in names],
        )
        for name, svid in zip(names, svids, strict=True):
            held.svids[name].append(svid)

    note()
    yield held
    note()


# A proxy keeps a connection for much longer than a certificate lives, or a policy is in force: with this
# every call has a connection, and so a handshake, of its own.
ONE_REQUEST_PER_CONNECTION = yaml.safe_dump(
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "meshproof-one-request-per-connection", "namespace": DEMO},
        "spec": {
            "host": f"*.{DEMO}.svc.cluster.local",
            "trafficPolicy": {"connectionPool": {"http": {"maxRequestsPerConnection": 1}}},
        },
    }
)


def await_fresh(bookinfo: Bookinfo, calls: Iterable[tuple[str, str]]) -> None:
    """Wait until the callers' proxies have that rule; with a new configuration Envoy drops connections.

    Args:
        bookinfo: The workloads.
        calls: Caller and callee of each call that matters.
    """
    callees = defaultdict(set)
    for caller, callee in calls:
        callees[caller].add(callee)
    names = tuple(callees)

    def stale() -> list[str]:
        clusters = at_once(
            lambda pod: bookinfo.config(pod, _OUTBOUND),
            [bookinfo.pods[name] for name in names],
        )
        return [
            f"{name} -> {callee}"
            for name, found in zip(names, clusters, strict=True)
            for callee in callees[name]
            if not any(_ONE_REQUEST in one for one in found if f"||{callee}.{DEMO}." in one)
        ]

    wait_for(
        stale,
        lambda waiting: not waiting,
        condition="no proxy uses a connection twice",
        timeout=timeouts().manifest_applied,
        delay=0.5,
    )


def await_endpoint(bookinfo: Bookinfo, service: str, callee: str) -> None:
    """Wait until the client's proxy knows the pod of a workload as an endpoint of a service."""
    endpoint = (
        f"outbound|{PORT}||{service}.{DEMO}.svc.cluster.local::{bookinfo.address(callee)}:{PORT}::health"
    )
    wait_for(
        lambda: endpoint in bookinfo.admin(bookinfo.pods[CLIENT], "clusters"),
        bool,
        condition=f"the proxy of {CLIENT} knows {callee} as {service}",
        timeout=timeouts().manifest_applied,
        delay=0.5,
    )


@contextmanager
def applied(kube: Kube, manifest: str) -> Iterator[None]:
    """Apply YAML documents, and remove their objects afterwards."""
    try:
        kube.apply(manifest)
        yield
    finally:
        kube.remove(manifest)


def find_bookinfo(kube: Kube) -> Bookinfo:
    """Find the pods.

    Raises:
        NothingObserved: A workload has no pod that is ready.
    """
    pods = {pod.workload: pod for pod in meshed_pods(kube) if pod.ready}
    if absent := [name for name in (CLIENT, INGRESS, EGRESS, *SERVERS) if name not in pods]:
        raise NothingObserved(f"no pod of {', '.join(absent)} is ready")
    return Bookinfo(kube, pods)


def unique_path() -> str:
    """Return a path that no other request has."""
    return f"/meshproof-{uuid4().hex}"
