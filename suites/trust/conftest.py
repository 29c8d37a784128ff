"""What the tests of trust look at: every proxy's chain and bundle."""

from __future__ import annotations

import pytest

from fixtures.cluster.kube import DEPLOYMENT, Kube
from fixtures.probe.layout import GATEWAYS_LABEL, ISTIO, MANAGED_LABEL
from fixtures.probe.pods import meshed_pods
from fixtures.probe.trust import Reading, read_proxies
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh


@pytest.fixture(scope="module")
def proxies(mesh: Mesh) -> list[Reading]:
    """Every proxy that SPIRE serves, both gateways' included, read once for a module's tests."""
    readings = read_proxies(mesh.kube, meshed_pods(mesh.kube))
    present = {(reading.pod.namespace, reading.pod.workload) for reading in readings}
    if (absent := _workloads(mesh.kube) - present) or not readings:
        raise NothingObserved(f"no pod runs of {sorted(absent) or 'any workload'}")
    return readings


def _workloads(kube: Kube) -> set[tuple[str, str]]:
    """Return the Deployments of which SPIRE manages the identity, by namespace and name."""
    key, _, value = MANAGED_LABEL.partition("=")
    gateways = kube.list(DEPLOYMENT, ISTIO, GATEWAYS_LABEL)
    managed = [
        item
        for item in kube.list(DEPLOYMENT)
        if (item["spec"]["template"]["metadata"].get("labels") or {}).get(key) == value
    ]
    return {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in gateways + managed}
