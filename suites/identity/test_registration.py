"""What SPIRE has registered, for which pods and for whose agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

import pytest

from fixtures.cluster.kube import NODE, POD, Kube
from fixtures.cluster.wait import wait_for
from fixtures.probe import spire
from fixtures.probe.identity import (
    AGENT_SYNC,
    Held,
    Signing,
    dns_faults,
    entry_faults,
    identity_time,
    offenders,
    signing_faults,
    signings,
)
from fixtures.probe.layout import DEMO, MANAGED_LABEL
from fixtures.probe.workload_api import asking_pod, await_identity
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NOT_SUPPORTED, NothingObserved
from fixtures.session import Mesh

# The controller-manager registers a pod when it hears of it. What it hears while it reconciles
# waits for the next round, which comes after 10 s (defaultGCInterval in its cmd/main.go).
_REGISTERED = timedelta(seconds=10)
# Refused, go-spiffe asks again after 1, 2, 3, 4 ... s (workloadapi/backoff.go): whoever has been
# refused for as long as an entry may take, 10 s and the agent's 5.5 s, waits 6 s at most.
_ASKED_AGAIN = timedelta(seconds=6)
_ARRIVALS = 6


@dataclass(frozen=True)
class Registrations:
    """Entries, and which agents are on which node.

    Attributes:
        agents: The SPIFFE IDs of the agents of each node: attested for the node's uid as the API
            server knows it, by a pod that the API server sees there.
    """

    entries: list[spire.Entry]
    agents: Mapping[str, list[str]]


@pytest.fixture(scope="module")
def registrations(mesh: Mesh) -> Registrations:
    """SPIRE's entries and agents beside the API server's nodes and pods."""
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(spire.entries, mesh.kube)
        agents = spire.agents(mesh.kube)
    placed = {pod["metadata"]["name"]: pod["spec"].get("nodeName") for pod in mesh.kube.list(POD, "spire")}
    by_node = {}
    for node in mesh.kube.list(NODE):
        name, uid = node["metadata"]["name"], node["metadata"]["uid"]
        by_node[name] = [
            agent.spiffe_id
            for agent in agents
            if (agent.node, agent.node_uid, placed.get(agent.pod)) == (name, uid, name)
        ]
    return Registrations(asked.result(), by_node)


@conformance(id="identity/entry-per-pod", requires={"spire"})
def test_each_pod_has_its_own_entry(
    held: list[Held], registrations: Registrations, trust_domain: str
) -> None:
    """Every managed pod has exactly one entry, for itself alone, under the agent of its own node.

    > A workload gets the identity of every entry whose parent is its agent and whose selectors it
    > has all of. (SPIRE, registering workloads)

    An entry without the pod's uid would also be for its neighbours: all entries that could be for
    a pod are counted.

    Break: a second ClusterSPIFFEID that selects the pod; an entry with a namespace selector only;
    an entry that kept the parent of the node that the pod left.
    """
    faults = offenders(
        held,
        lambda pod, _: entry_faults(
            pod, registrations.entries, trust_domain, registrations.agents.get(pod.node, [])
        ),
    )
    assert not faults, "; ".join(faults)


@conformance(id="identity/dns-names-match-entry", level="extended", requires={"spire"})
def test_leaf_has_the_dns_names_of_its_entry(held: list[Held], registrations: Registrations) -> None:
    """The DNS names in every leaf are those of the pod's entry, no more and no fewer.

    > An X.509 SVID MAY contain any number of other SAN field types, including DNS SANs.
    > (X509-SVID 2; which, the `dns_names` of a SPIRE entry say)

    Break: a CredentialComposer that adds names; an entry changed after the SVID was signed.
    """
    if not any(entry.dns_names for entry in registrations.entries):
        raise NothingObserved("no entry has DNS names")
    faults = offenders(held, lambda pod, svid: dns_faults(pod, svid.leaf, registrations.entries))
    assert not faults, "; ".join(faults)


@pytest.fixture
def signed(mesh: Mesh, held: list[Held]) -> list[Signing]:
    """What SPIRE's server signed, read after the leaves were."""
    if len(mesh.kube.list(NODE)) < 2:
        pytest.skip(f"{NOT_SUPPORTED} the cluster has one node")
    found = signings(mesh.kube)
    known = {one.serial for one in found}
    unseen = [str(one.pod) for one in held if one.svid and one.svid.leaf.serial_number not in known]
    if unseen:
        raise NothingObserved(f"SPIRE's server logged no signing of the SVIDs of {', '.join(unseen)}")
    return found


@conformance(id="identity/node-bound", level="extended", requires={"spire", "multi-node"})
def test_only_the_agent_of_the_node_serves_an_svid(
    held: list[Held], signed: list[Signing], registrations: Registrations
) -> None:
    """Only the agent on a pod's own node ever had an SVID signed for that pod.

    > An agent is given the entries that descend from it, and no others: a node that is lost loses
    > the identities of its own workloads only. (SPIRE, concepts: node attestation)

    Three sources: the serial that Envoy holds, the agent that SPIRE's server signed it for, and
    the node that the API server has the pod on.

    Break: an entry under a node alias, or with a second parent; the entry of a pod that moved.
    """
    nodes = {one.pod.node for one in held}
    if len(nodes) < 2:
        raise NothingObserved(f"all pods are on {', '.join(nodes)}")
    faults = offenders(
        held,
        lambda pod, svid: signing_faults(
            pod, svid, registrations.entries, signed, " ".join(registrations.agents.get(pod.node, []))
        ),
    )
    assert not faults, "; ".join(faults)


@conformance(id="identity/entry-follows-pod", requires={"spire"})
def test_entry_comes_and_goes_with_its_pod(own_mesh: Mesh) -> None:
    """A new pod has its entry and its SVID in bounded time; the entry goes when the pod does.

    > The controller manager reconciles entries with the pods that a ClusterSPIFFEID selects: it
    > creates what is missing and deletes what is there for no pod. (spire-controller-manager)

    Break: the controller-manager stopped or slow; an agent that no longer reaches the server.
    """
    kube = own_mesh.kube
    with _new_pods(own_mesh) as pods:
        for name in pods:
            await_identity(kube, DEMO, name)
        entries = spire.entries(kube)
        counts = {name: sum(e.selects_pod(uid) for e in entries) for name, uid in pods.items()}
        times = {name: _times_to_identity(kube, name) for name in pods}
    own_mesh.measure("timeToIdentitySeconds", dict(_percentiles([time[0] for time in times.values()])))
    assert counts == dict.fromkeys(pods, 1)
    # The kubelet's time to start a container is not SPIRE's.
    bound = _REGISTERED + AGENT_SYNC + _ASKED_AGAIN
    late = {name: str(since_start) for name, (_, since_start) in times.items() if since_start > bound}
    assert not late, f"later than {bound} after their start: {late}"
    wait_for(
        lambda: [e.spiffe_id for e in spire.entries(kube) if any(map(e.selects_pod, pods.values()))],
        lambda left: not left,
        condition="the entries of deleted pods are gone",
        # One round of the controller-manager's, and as much again for its work and our looking.
        timeout=2 * _REGISTERED.total_seconds(),
    )


@contextmanager
def _new_pods(mesh: Mesh) -> Iterator[dict[str, str]]:
    """Run new pods on all nodes in turn; they are given by name with their uid."""
    label, _, value = MANAGED_LABEL.partition("=")
    nodes = sorted(node["metadata"]["name"] for node in mesh.kube.list(NODE))
    pods: dict[str, str] = {}
    with ExitStack() as stack:
        for number in range(_ARRIVALS):
            asking = asking_pod(
                mesh.kube,
                mesh.image("spire-agent"),
                namespace=DEMO,
                name=f"meshproof-arrival-{number}",
                service_account="meshproof-arrival",
                labels={label: value},
                node=nodes[number % len(nodes)],
            )
            metadata = stack.enter_context(asking)["metadata"]
            pods[metadata["name"]] = metadata["uid"]
        yield pods


def _times_to_identity(kube: Kube, name: str) -> tuple[timedelta, timedelta]:
    """Return how long a pod waited for its identity, since it was made and since it started."""
    served = identity_time(kube, DEMO, name)
    pod = kube.get(POD, name, DEMO)
    started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    return served - _moment(pod["metadata"]["creationTimestamp"]), served - _moment(started)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _percentiles(times: list[timedelta]) -> dict[str, float]:
    ordered = sorted(round(time.total_seconds(), 1) for time in times)
    ranks = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    return {name: ordered[ceil(part * len(ordered)) - 1] for name, part in ranks.items()}
