from __future__ import annotations

from typing import Any

import pytest

from fixtures.cluster.kube import Object
from fixtures.stack.ready import certificate_ready, rolled_out

DONE = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
EVERYWHERE = {
    "observedGeneration": 3,
    "desiredNumberScheduled": 2,
    "updatedNumberScheduled": 2,
    "numberReady": 2,
}
READY = {"type": "Ready", "status": "True", "observedGeneration": 3}


def workload(kind: str, status: dict[str, Any], **spec: Any) -> Object:
    return {"kind": kind, "metadata": {"generation": 3}, "spec": spec, "status": status}


def certificate(*conditions: dict[str, Any]) -> Object:
    return {"kind": "Certificate", "metadata": {"generation": 3}, "status": {"conditions": [*conditions]}}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_replicas_are_rolled_out(kind: str) -> None:
    assert rolled_out(workload(kind, DONE, replicas=2))


@pytest.mark.parametrize(
    "status",
    [
        {},
        {**DONE, "observedGeneration": 2},
        {**DONE, "updatedReplicas": 1},
        {**DONE, "readyReplicas": 1},
        {**DONE, "replicas": 3},  # an old one still ends
        {"observedGeneration": 3},
    ],
    ids=["nothing", "old-generation", "one-old", "one-unready", "one-too-many", "none-yet"],
)
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_replicas_are_not_rolled_out(kind: str, status: dict[str, Any]) -> None:
    assert not rolled_out(workload(kind, status, replicas=2))


def test_one_replica_is_meant_where_none_is_named() -> None:
    one = {"observedGeneration": 3, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}

    assert rolled_out(workload("Deployment", one))


def test_daemon_set_is_rolled_out() -> None:
    assert rolled_out(workload("DaemonSet", EVERYWHERE))


@pytest.mark.parametrize(
    "status",
    [
        {},
        {**EVERYWHERE, "observedGeneration": 2},
        {**EVERYWHERE, "updatedNumberScheduled": 1},
        {**EVERYWHERE, "numberReady": 1},
        {"observedGeneration": 3, "desiredNumberScheduled": 0, "numberReady": 0},
    ],
    ids=["nothing", "old-generation", "one-old", "one-unready", "nowhere-scheduled"],
)
def test_daemon_set_is_not_rolled_out(status: dict[str, Any]) -> None:
    assert not rolled_out(workload("DaemonSet", status))


def test_what_does_not_exist_is_not_rolled_out() -> None:
    assert not rolled_out(None)


def test_certificate_is_ready() -> None:
    issuing = {"type": "Issuing", "status": "False"}

    assert certificate_ready(certificate(issuing, READY))


@pytest.mark.parametrize(
    "item",
    [
        None,
        {"metadata": {"generation": 3}},
        {"metadata": {"generation": 3}, "status": {"conditions": None}},
        certificate(),
        certificate({**READY, "status": "False"}),
        certificate({**READY, "status": "Unknown"}),
        certificate({**READY, "observedGeneration": 2}),
        certificate({"type": "Ready", "status": "True"}),
        certificate({**READY, "type": "Issuing"}),
    ],
    ids=["none", "new", "null", "empty", "false", "unknown", "old-generation", "no-generation", "other"],
)
def test_certificate_is_not_ready(item: Object | None) -> None:
    assert not certificate_ready(item)
