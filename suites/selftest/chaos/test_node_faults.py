"""Faults of nodes, against what the engine and the nodes print."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from fixtures.chaos import api_faults, node_faults
from fixtures.chaos.actions import NothingToTouchError
from fixtures.chaos.node_faults import Node, Process
from fixtures.cluster import engine
from fixtures.cluster.failures import UsageError
from fixtures.cluster.kube import NODE, POD, STATEFUL_SET, Object
from fixtures.cluster.wait import WaitTimeoutError
from suites.selftest.chaos.test_faults import SERVER, ApiServer, thing
from suites.selftest.cluster.commands import DOCKER, Commands

LISTING = (
    "docker ps -a --filter label=io.x-k8s.kind.cluster=mesh --format"
    " '{{.Names}}\t{{.Label \"io.x-k8s.kind.role\"}}\t{{.State}}'"
)
CONTROL_PLANE = "mesh-control-plane\tcontrol-plane\trunning\n"
WORKER = "mesh-worker\tworker\trunning\n"
SAVED = """\
*filter
:INPUT ACCEPT [9:9]
:KUBE-FIREWALL - [0:0]
:MESHPROOF-KUBELET - [0:0]
:MESHPROOF-SERVER-AGENTS - [0:0]
-A INPUT -p tcp -m tcp --sport 8081 -j MESHPROOF-SERVER-AGENTS
-A INPUT -p tcp -m tcp --dport 10250 -j MESHPROOF-KUBELET
-A INPUT -j KUBE-FIREWALL
-A OUTPUT -p tcp -m tcp --dport 8081 -j MESHPROOF-SERVER-AGENTS
-A MESHPROOF-KUBELET -j DROP
-A MESHPROOF-SERVER-AGENTS -j DROP
COMMIT
"""
UID = "12345678-9abc-4def-8123-456789abcdef"
ENVOY, OTHER = "e" * 64, "0" * 64


@pytest.fixture
def server() -> ApiServer:
    return ApiServer(SERVER)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, server: ApiServer) -> Commands:
    """A control plane and a worker run."""
    table = Commands()
    monkeypatch.setattr(engine, "run", table)
    for module in (node_faults, api_faults):
        monkeypatch.setattr(module, "kube_of", lambda configuration: server)
    monkeypatch.setattr(node_faults, "engine_of", lambda configuration: DOCKER)
    table.prints(LISTING, WORKER + CONTROL_PLANE)
    return table


def saves(commands: Commands, text: str, also: str = "") -> None:
    """Let the worker have these rules for IPv4, and those for IPv6."""
    for family, saved in (("iptables", text), ("ip6tables", also)):
        commands.prints(f"docker exec mesh-worker {family}-save -t filter", saved)
        commands.prints(f"docker exec -i mesh-worker {family}-restore --wait --noflush")


def changes(commands: Commands) -> list[str]:
    """Return what was changed in the packet filters."""
    return [text for text in commands.stdin if text]


def test_nodes_are_found_by_kinds_labels(commands: Commands) -> None:
    assert node_faults.nodes(DOCKER, "mesh") == [
        Node("mesh-control-plane", "control-plane", "running"),
        Node("mesh-worker", "worker", "running"),
    ]


def test_a_partition_is_one_change_of_the_packet_filter_of_each_family(commands: Commands) -> None:
    """The API server's name has an IPv6 address, by which a node went around a rule for IPv4."""
    saves(commands, "")
    assert node_faults.partition_server_agents() == ["mesh-worker MESHPROOF-SERVER-AGENTS"]
    assert [call.split()[4] for call in commands.calls if "restore" in call] == [
        "iptables-restore",
        "ip6tables-restore",
    ]
    assert changes(commands) == 2 * [
        "*filter\n"
        ":MESHPROOF-SERVER-AGENTS - [0:0]\n"
        "-A MESHPROOF-SERVER-AGENTS -j DROP\n"
        "-I OUTPUT 1 -p tcp --dport 8081 -j MESHPROOF-SERVER-AGENTS\n"
        "-I INPUT 1 -p tcp --sport 8081 -j MESHPROOF-SERVER-AGENTS\n"
        "-I FORWARD 1 -p tcp --dport 8081 -j MESHPROOF-SERVER-AGENTS\n"
        "-I FORWARD 1 -p tcp --sport 8081 -j MESHPROOF-SERVER-AGENTS\n"
        "COMMIT\n"
    ]


def test_a_block_that_is_there_is_replaced(commands: Commands) -> None:
    saves(commands, SAVED)
    node_faults.block_kubelet()
    lines = changes(commands)[0].splitlines()
    assert "-D INPUT -p tcp -m tcp --dport 10250 -j MESHPROOF-KUBELET" in lines
    assert len([line for line in lines if line.startswith("-D")]) == 1


def test_a_heal_removes_its_own_chains_and_no_others(commands: Commands) -> None:
    saves(commands, SAVED)
    assert node_faults.heal_partition() == ["mesh-worker MESHPROOF-SERVER-AGENTS"]
    assert changes(commands) == [
        "*filter\n"
        "-D INPUT -p tcp -m tcp --sport 8081 -j MESHPROOF-SERVER-AGENTS\n"
        "-D OUTPUT -p tcp -m tcp --dport 8081 -j MESHPROOF-SERVER-AGENTS\n"
        "-F MESHPROOF-SERVER-AGENTS\n"
        "-X MESHPROOF-SERVER-AGENTS\n"
        "COMMIT\n"
    ]
    saves(commands, "*filter\n:INPUT ACCEPT [9:9]\nCOMMIT\n")
    assert node_faults.heal_partition() == node_faults.unblock_kubelet() == []
    saves(commands, "", also=SAVED)  # a process was killed between the two
    assert node_faults.heal_partition() == ["mesh-worker MESHPROOF-SERVER-AGENTS"]


def test_one_node_is_worker_and_control_plane(commands: Commands) -> None:
    commands.prints(LISTING, CONTROL_PLANE)
    commands.prints("docker pause mesh-control-plane")
    assert node_faults.pause_node("worker") == ["mesh-control-plane"]
    with pytest.raises(UsageError):
        node_faults.pause_node("mesh-control-plane")
    commands.prints(LISTING)
    with pytest.raises(NothingToTouchError):
        node_faults.pause_node()


def test_a_paused_node_cannot_be_paused_but_thawed(commands: Commands) -> None:
    assert node_faults.unpause_node() == []
    commands.prints(LISTING, CONTROL_PLANE + WORKER.replace("running", "paused"))
    commands.prints("docker unpause mesh-worker")
    assert node_faults.unpause_node() == ["mesh-worker"]
    for fault in (node_faults.pause_node, node_faults.restart_node, node_faults.block_kubelet):
        with pytest.raises(NothingToTouchError, match="mesh-worker is paused"):
            fault()
    assert node_faults.heal_partition() == []


STARTED = datetime(2030, 1, 1, 12, 0, 30, 500_000, tzinfo=UTC)


def running(container: str, started: str = "2030-01-01T12:00:00Z") -> Object:
    return {"containerID": f"containerd://{container}", "state": {"running": {"startedAt": started}}}


def pod(name: str = "a", *containers: Object, node: str = "mesh-worker") -> Object:
    ready = [{"type": "Ready", "status": "True"}]
    status = {"conditions": ready, "containerStatuses": [], "initContainerStatuses": list(containers)}
    made = thing(POD, "bookinfo", name, spec={"nodeName": node}, status=status)
    made["metadata"]["uid"] = UID
    return made


def restarted(renewed: str, ready: str, *pods: Object) -> ApiServer:
    lease = thing(node_faults._LEASE, "kube-node-lease", "mesh-worker", spec={"renewTime": renewed})
    node = thing(NODE, "", "mesh-worker", status={"conditions": [{"type": "Ready", "status": ready}]})
    return ApiServer(lease, node, *pods)


@pytest.mark.parametrize(
    ("renewed", "ready", "started", "left"),
    [
        ("2030-01-01T12:00:31.000000Z", "True", "2030-01-01T12:00:30Z", []),
        ("2030-01-01T12:00:29.000000Z", "True", "2030-01-01T12:00:30Z", ["lease"]),
        ("2030-01-01T12:00:31.000000Z", "Unknown", "2030-01-01T12:00:30Z", ["not Ready"]),
        ("2030-01-01T12:00:31.000000Z", "True", "2030-01-01T12:00:29Z", ["bookinfo/a"]),
    ],
    ids=["new", "lease", "not-ready", "pod"],
)
def test_what_is_known_from_before_a_restart_is_named(
    renewed: str, ready: str, started: str, left: list[str]
) -> None:
    elsewhere = pod("b", running(OTHER), node="mesh-control-plane")
    server: Any = restarted(renewed, ready, pod("a", running(ENVOY, started)), elsewhere)
    assert node_faults.outdated(server, "mesh-worker", STARTED) == left


def test_processes_are_told_apart_by_their_control_groups() -> None:
    systemd = (
        f"0::/kubelet.slice/kubelet-kubepods-pod{UID.replace('-', '_')}.slice/cri-containerd-{ENVOY}.scope"
    )
    plain = f"2:cpu:/kubepods/burstable/pod{UID}/{ENVOY} 0::/"
    found = node_faults.processes(f"17 {systemd}\n18 {plain}\n19 0::/init.scope\n20\n")
    assert [one.pid for one in found if one.is_of(UID)] == ["17", "18"]
    assert [one.container for one in found] == [ENVOY, ENVOY, "", ""]
    assert not Process("17", systemd).is_of(OTHER)


def looks(commands: Commands, output: str) -> None:
    words = ("docker", "exec", "mesh-worker", "sh", "-c", node_faults._PROCESSES, "sh", "envoy")
    commands.answers[words] = output


@pytest.fixture
def envoys(commands: Commands, server: ApiServer) -> Callable[[], list[str]]:
    server.put(pod("a", running(ENVOY)))
    looks(commands, f"17 0::/kubelet/pod{UID}/{ENVOY}\n18 0::/kubelet/podothers/{OTHER}\n")
    commands.prints("docker exec mesh-worker kill -KILL 17")
    return lambda: node_faults.kill_process("bookinfo", "app=a", "envoy")


def test_a_process_is_killed_in_its_pod_alone(
    envoys: Callable[[], list[str]], server: ApiServer, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = iter([[pod("a", running(ENVOY))], [pod("a", running("f" * 64))]])
    monkeypatch.setattr(server, "list", lambda *_: next(pods))
    assert envoys() == ["bookinfo/a envoy"]
    assert commands.calls[-1] == "docker exec mesh-worker kill -KILL 17"


def test_a_kill_that_ends_no_container_is_an_error(
    envoys: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHPROOF_TIMEOUT_SCALE", "0.0001")
    with pytest.raises(WaitTimeoutError):
        envoys()


def test_nothing_is_killed_where_a_pod_has_no_such_process(
    envoys: Callable[[], list[str]], commands: Commands
) -> None:
    looks(commands, f"18 0::/kubelet/podothers/{OTHER}\n")
    with pytest.raises(NothingToTouchError, match="no process envoy in bookinfo/a"):
        envoys()
    assert not [call for call in commands.calls if "kill" in call]


def test_a_container_of_somebody_else_is_no_node(envoys: Callable[[], list[str]], server: ApiServer) -> None:
    server.put(pod("a", running(ENVOY), node="database"))
    with pytest.raises(UsageError, match="database"):
        envoys()


def test_a_process_that_is_stopped_goes_on_afterwards(
    envoys: Callable[[], list[str]], commands: Commands
) -> None:
    for signal in ("STOP", "CONT"):
        commands.prints(f"docker exec mesh-worker kill -{signal} 17")
    with node_faults.frozen_process("bookinfo", "app=a", "envoy") as touched:
        assert touched == ["bookinfo/a envoy"]
        assert commands.calls[-1] == "docker exec mesh-worker kill -STOP 17"
    assert commands.calls[-1] == "docker exec mesh-worker kill -CONT 17"


FIND = "docker exec mesh-control-plane find /var/lib/meshproof/spire-data -mindepth 1 -print -delete"


def test_the_datastore_is_lost_while_the_server_is_away(commands: Commands, server: ApiServer) -> None:
    commands.prints(FIND, "/var/lib/meshproof/spire-data/keys.json\n")
    replicas: list[int] = []
    server.then = lambda now: replicas.append(
        now.get(STATEFUL_SET, "spire-server", "spire")["spec"]["replicas"]
    )
    assert node_faults.lose_datastore() == ["mesh-control-plane:/var/lib/meshproof/spire-data/keys.json"]
    assert replicas == [0, 2]


def test_a_datastore_that_was_empty_cannot_be_lost(commands: Commands, server: ApiServer) -> None:
    commands.prints(FIND)
    with pytest.raises(NothingToTouchError):
        node_faults.lose_datastore()
    found = server.get(STATEFUL_SET, "spire-server", "spire")
    assert json.dumps(found["metadata"]["annotations"]) == "{}"
