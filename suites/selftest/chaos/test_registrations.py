"""Entries and agents after a fault: as SPIRE's server and the API server would tell of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fixtures.chaos import registrations
from fixtures.chaos.registrations import (
    Registrations,
    agent_faults,
    agents_by_node,
    registration_faults,
)
from fixtures.cluster.kube import NODE, Kind, Object
from fixtures.cluster.wait import WaitTimeoutError
from fixtures.probe import spire
from fixtures.probe.pods import ManagedPod
from fixtures.probe.spire import Agent, Entry

POD = ManagedPod("bookinfo", "details-1", "u1", "bookinfo-details", "mesh-worker", True)
AGENT = Agent("spiffe://example.org/spire/agent/k8s_psat/demo/n1", "mesh-worker", "n1", "spire-agent-x")
ENTRY = Entry(
    "e1",
    "spiffe://example.org/ns/bookinfo/sa/bookinfo-details",
    AGENT.spiffe_id,
    ("k8s:ns:bookinfo", "k8s:pod-uid:u1", "k8s:sa:bookinfo-details"),
    (),
)
NODES = [{"metadata": {"name": "mesh-worker", "uid": "n1"}}]
PODS = [{"metadata": {"name": "spire-agent-x"}, "spec": {"nodeName": "mesh-worker"}}]
WHOLE = Registrations((ENTRY,), {"mesh-worker": (AGENT.spiffe_id,)}, (POD,))


def test_a_pod_with_its_own_entry_under_its_own_agent_is_remade() -> None:
    assert registration_faults(WHOLE, "example.org") == []


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(replace(WHOLE, entries=()), id="no-entry"),
        pytest.param(replace(WHOLE, entries=(ENTRY, replace(ENTRY, id="e2"))), id="two-entries"),
        pytest.param(
            replace(WHOLE, entries=(replace(ENTRY, spiffe_id=ENTRY.spiffe_id[:-7] + "ratings"),)),
            id="another-identity",
        ),
        pytest.param(replace(WHOLE, agents={"mesh-worker": ("spiffe://example.org/old",)}), id="old-agent"),
        pytest.param(replace(WHOLE, agents={}), id="no-agent"),
        pytest.param(replace(WHOLE, pods=()), id="no-pod"),
    ],
)
def test_a_registration_that_is_not_whole_is_a_fault(found: Registrations) -> None:
    assert registration_faults(found, "example.org")


def test_the_agent_of_a_node_is_the_one_that_runs_there_now() -> None:
    one = agents_by_node(NODES, PODS, [AGENT])
    assert one == {"mesh-worker": (AGENT.spiffe_id,)}
    assert agent_faults(one) == []


@pytest.mark.parametrize(
    "agents",
    [
        pytest.param([], id="none"),
        pytest.param([AGENT, replace(AGENT, spiffe_id="spiffe://example.org/other")], id="two"),
        pytest.param([replace(AGENT, pod="spire-agent-that-was-killed")], id="pod-is-gone"),
        pytest.param([replace(AGENT, node_uid="of-the-node-before")], id="another-node"),
    ],
)
def test_a_node_without_its_agent_is_a_fault(agents: list[Agent]) -> None:
    faults = agent_faults(agents_by_node(NODES, PODS, agents))
    assert [fault for fault in faults if fault.startswith("mesh-worker: ")]


def test_a_cluster_without_nodes_is_a_fault() -> None:
    assert agent_faults({}) == ["no node found"]


class Cluster:
    def list(self, kind: Kind, namespace: str = "") -> list[Object]:
        return NODES if kind == NODE else PODS


def test_the_probes_wait_for_what_is_missing_and_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[Agent] = [AGENT]
    monkeypatch.setenv("MESHPROOF_TIMEOUT_SCALE", "0.001")
    monkeypatch.setattr(registrations, "kube_of", lambda configuration: Cluster())
    monkeypatch.setattr(spire, "agents", lambda kube: known)
    monkeypatch.setattr(spire, "entries", lambda kube: [ENTRY])
    monkeypatch.setattr(registrations, "meshed_pods", lambda kube: [POD])
    configuration: dict[str, Any] = {}

    assert registrations.agents_attested(configuration)
    assert registrations.registrations_remade("example.org", configuration)
    known.clear()
    with pytest.raises(WaitTimeoutError, match="mesh-worker: 0 attested agents"):
        registrations.agents_attested(configuration)
    with pytest.raises(WaitTimeoutError, match="bookinfo/details-1: the parent of its entry"):
        registrations.registrations_remade("example.org", configuration)
