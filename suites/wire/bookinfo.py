"""Requests between the workloads of Bookinfo, and what their proxies log of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from fixtures.cluster.kube import Kube
from fixtures.cluster.run import CommandError
from fixtures.probe.layout import DEMO
from fixtures.probe.pods import ManagedPod, meshed_pods
from fixtures.probe.wire import AccessLine, Reply, parse_access_log, parse_fortio
from fixtures.report.outcomes import NothingObserved

CLIENT = "client"
GATEWAY = "istio-ingressgateway"
SERVERS = ("productpage", "details", "reviews", "ratings")
PORT = 9080


@dataclass(frozen=True)
class Bookinfo:
    """The pods of Bookinfo and of the ingress gateway by workload, one each."""

    kube: Kube
    pods: Mapping[str, ManagedPod]

    def get(self, url: str, *, sender: str = "") -> Reply:
        """Send one request from a pod of fortio's, from the meshed client's without a name.

        Raises:
            CommandError: No request was sent.
            NothingObserved: fortio does not say what became of it.
        """
        pod = sender or self.pods[CLIENT].name
        try:
            # fortio reports on its standard error, what it got and what it did not.
            printed = self.kube.exec(DEMO, pod, "app", "/usr/bin/fortio", "curl", url, merge=True)
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
        found = {}
        for name in workloads:
            pod = self.pods[name]
            text = self.kube.logs(pod.namespace, pod.name, "istio-proxy", since=begin)
            found[name] = parse_access_log(text)
        return found


def find_bookinfo(kube: Kube) -> Bookinfo:
    """Find the pods.

    Raises:
        NothingObserved: A workload has no pod that is ready.
    """
    pods = {pod.workload: pod for pod in meshed_pods(kube) if pod.ready}
    if absent := [name for name in (CLIENT, GATEWAY, *SERVERS) if name not in pods]:
        raise NothingObserved(f"no pod of {', '.join(absent)} is ready")
    return Bookinfo(kube, pods)


def unique_path() -> str:
    """Return a path that no other request has."""
    return f"/meshproof-{uuid4().hex}"
