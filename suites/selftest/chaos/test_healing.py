"""Healing after a run that was killed in the middle of a fault."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from fixtures.chaos import api_faults, healing, node_faults
from fixtures.chaos.api_faults import ROLE
from fixtures.cluster import engine, wait
from fixtures.cluster.failures import ClusterError
from fixtures.cluster.kube import CERTIFICATE, CONFIG_MAP, DEPLOYMENT, SECRET, STATEFUL_SET, Kind, Object
from fixtures.cluster.wait import WaitTimeoutError
from fixtures.pki import mint
from suites.selftest.chaos.test_faults import (
    EDITED,
    OLD,
    RIGHTS,
    RULES,
    SERVER,
    ApiServer,
    issue_another_root,
    issue_cacerts,
    mesh,
    secret,
    thing,
)
from suites.selftest.chaos.test_node_faults import CONTROL_PLANE, LISTING, SAVED, WORKER
from suites.selftest.cluster.commands import DOCKER, Commands

EMPTY = "*filter\n:INPUT ACCEPT [9:9]\nCOMMIT\n"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Two nodes that nothing is wrong with."""
    table = Commands()
    monkeypatch.setattr(engine, "run", table)
    table.prints(LISTING, CONTROL_PLANE + WORKER)
    for node in ("mesh-control-plane", "mesh-worker"):
        for family in ("iptables", "ip6tables"):
            table.prints(f"docker exec {node} {family}-save -t filter", EMPTY)
    return table


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ApiServer:
    """A mesh under which every fault holds that the API server knows of, with no process left to heal it."""
    made = mesh(SERVER, RIGHTS, EDITED)
    monkeypatch.setattr(api_faults, "kube_of", lambda configuration: made)
    monkeypatch.setattr(healing, "check_answers", lambda kube: None)
    return made


def break_all(server: ApiServer) -> None:
    api_faults.scale_to_zero("StatefulSet", "spire-server", "spire")
    api_faults.deny_requests()
    api_faults.edit_certificate()
    api_faults.delete_secret("selfsigned-ca", "cert-manager")
    issue_another_root(server)
    server.then = issue_cacerts


def roots(server: ApiServer) -> dict[str, str]:
    return {one["metadata"]["name"]: one["data"]["ca.crt"] for one in server.list(SECRET)}


def test_nodes_are_thawed_started_and_connected(commands: Commands) -> None:
    stopped = CONTROL_PLANE.replace("running", "exited") + WORKER.replace("running", "paused")
    commands.prints(LISTING, stopped)
    commands.prints("docker start mesh-control-plane")
    commands.prints("docker unpause mesh-worker")
    commands.prints("docker exec mesh-worker iptables-save -t filter", SAVED)
    commands.prints("docker exec -i mesh-worker iptables-restore --wait --noflush")
    assert healing.heal_engine(DOCKER, "mesh") == [
        "mesh-control-plane: started",
        "mesh-worker: unpaused",
        "mesh-worker: removed MESHPROOF-KUBELET",
        "mesh-worker: removed MESHPROOF-SERVER-AGENTS",
    ]


def test_a_node_that_was_started_is_waited_for(
    commands: Commands, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube: Any = server
    waited: list[str] = []
    monkeypatch.setattr(node_faults, "wait_until_known", lambda kube, engine, node: waited.append(node))
    assert healing.heal(kube, DOCKER) == waited == []
    commands.prints(LISTING, CONTROL_PLANE + WORKER.replace("running", "exited"))
    commands.prints("docker start mesh-worker")
    assert healing.heal(kube, DOCKER) == ["mesh-worker: started"]
    assert waited == ["mesh-worker"]


def test_a_healthy_mesh_is_left_alone(commands: Commands, server: ApiServer) -> None:
    def touched(_: ApiServer) -> None:
        pytest.fail("something was changed")

    server.then = touched
    kube: Any = server
    assert healing.heal(kube, DOCKER) == []
    assert not [call for call in commands.calls if "restore" in call]


def test_everything_is_as_before_the_faults(server: ApiServer) -> None:
    kube: Any = server
    break_all(server)
    assert len(healing.heal_cluster(kube)) == 6
    assert server.get(STATEFUL_SET, "spire-server", "spire")["spec"] == SERVER["spec"]
    assert server.get(ROLE, "spire-server", "cert-manager")["rules"] == RULES
    assert server.get(CERTIFICATE, "cacerts", "istio-system")["spec"] == EDITED["spec"]
    assert server.get(DEPLOYMENT, "cert-manager", "cert-manager")["spec"]["replicas"] == 1
    assert roots(server) == {"selfsigned-ca": OLD, "cacerts": OLD}
    assert healing.heal(kube, None) == []


@pytest.mark.parametrize("survived", range(9))
def test_a_heal_that_is_killed_can_be_done_again(
    server: ApiServer, survived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any number of writes the process is gone; the next one finds all that it needs."""
    kube: Any = server
    break_all(server)
    writes = itertools.count()

    def mortal(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*words: object) -> Any:
            if next(writes) == survived:
                raise KeyboardInterrupt
            return write(*words)

        return written

    with monkeypatch.context() as patched:
        for name in ("merge", "delete", "apply"):
            patched.setattr(server, name, mortal(getattr(server, name)))
        with pytest.raises(KeyboardInterrupt):
            healing.heal_cluster(kube)
    healing.heal_cluster(kube)
    assert roots(server) == {"selfsigned-ca": OLD, "cacerts": OLD}
    for kind in (DEPLOYMENT, STATEFUL_SET, ROLE, CERTIFICATE):
        assert api_faults.changed(kube, kind) == []


@pytest.mark.parametrize("met", [False, True], ids=["the-mesh-s-root-alone", "another-root"])
def test_spire_begins_anew_where_it_met_another_root(
    server: ApiServer, met: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube: Any = server
    root = mint.pem(mint.authority().cert)
    server.put(secret("cert-manager", "selfsigned-ca", base64.b64encode(root).decode()))
    other = mint.pem(mint.authority().cert) if met else b""
    bundle = {"bundle.crt": (root + other).decode()}
    server.put(thing(CONFIG_MAP, "spire", "spire-bundle", data=bundle))
    monkeypatch.setattr(healing, "configuration_of", lambda *_: {})
    monkeypatch.setattr(node_faults, "lose_datastore", lambda configuration: ["keys.json"])
    assert healing.forget_other_roots(kube, DOCKER) == (["keys.json"] if met else [])


def test_a_certificate_waits_for_the_webhook(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """cert-manager's webhook was away, too, and has just come back."""
    kube: Any = server
    api_faults.edit_certificate()
    merge, refusals = server.merge, [ApiException(500), ApiException(500)]

    def refuse(kind: Kind, name: str, namespace: str, change: Object) -> Object:
        if kind == CERTIFICATE and refusals:
            raise refusals.pop()
        return merge(kind, name, namespace, change)

    monkeypatch.setattr(server, "merge", refuse)
    monkeypatch.setattr(wait.GIVE_UP.get(), "wait", lambda delay: False)
    assert healing.heal_cluster(kube) == ["Certificate istio-system/cacerts"]


def test_an_api_server_that_does_not_come_back_is_an_error(
    commands: Commands, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: object) -> None:
        raise ClusterError("refused")

    kube: Any = server
    monkeypatch.setattr(healing, "check_answers", silent)
    monkeypatch.setenv("MESHPROOF_TIMEOUT_SCALE", "0.0001")
    with pytest.raises(WaitTimeoutError, match="the API server answers"):
        healing.heal(kube, DOCKER)
