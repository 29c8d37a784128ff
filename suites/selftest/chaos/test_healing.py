"""Healing after a run that was killed in the middle of a fault."""

from __future__ import annotations

import base64
import functools
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from fixtures.chaos import api_faults, healing, node_faults
from fixtures.chaos.api_faults import ROLE
from fixtures.cluster import engine, wait
from fixtures.cluster.failures import ClusterError
from fixtures.cluster.kube import CERTIFICATE, CONFIG_MAP, DEPLOYMENT, POD, SECRET, STATEFUL_SET, Kind, Object
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
    workload,
)
from suites.selftest.chaos.test_node_faults import CONTROL_PLANE, LISTING, SAVED, WORKER
from suites.selftest.cluster.commands import DOCKER, Commands

ISTIOD = workload(DEPLOYMENT, "istio-system", "istiod", 1)
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
    made = mesh(SERVER, RIGHTS, EDITED, ISTIOD)
    monkeypatch.setattr(api_faults, "kube_of", lambda configuration: made)
    monkeypatch.setattr(healing, "check_answers", lambda kube: None)
    return made


def break_all(server: ApiServer) -> None:
    api_faults.scale_to_zero("StatefulSet", "spire-server", "spire")
    api_faults.scale_to_zero("Deployment", "istiod", "istio-system")
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
    assert len(healing.heal_cluster(kube)) == 7
    assert server.get(STATEFUL_SET, "spire-server", "spire")["spec"] == SERVER["spec"]
    assert server.get(ROLE, "spire-server", "cert-manager")["rules"] == RULES
    assert server.get(CERTIFICATE, "cacerts", "istio-system")["spec"] == EDITED["spec"]
    assert server.get(DEPLOYMENT, "cert-manager", "cert-manager")["spec"]["replicas"] == 1
    assert roots(server) == {"selfsigned-ca": OLD, "cacerts": OLD}
    assert healing.heal(kube, None) == []


def test_istiod_does_not_begin_under_another_root(server: ApiServer) -> None:
    """It would refuse the mesh's own from then on."""
    kube: Any = server
    break_all(server)
    begun_with: list[str] = []

    def begin(now: ApiServer) -> None:
        issue_cacerts(now)
        if now.get(DEPLOYMENT, "istiod", "istio-system")["spec"]["replicas"]:
            begun_with.append(roots(now)["cacerts"])

    server.then = begin
    healing.heal_cluster(kube)
    assert set(begun_with) == {OLD}


@pytest.mark.parametrize("survived", range(12))
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


ROOT, OTHER = (mint.pem(mint.authority().cert) for _ in range(2))


def hold(server: ApiServer, namespace: str, name: str, key: str, pem: bytes) -> None:
    """Let the mesh have a root, and a ConfigMap hold these."""
    encoded = base64.b64encode(ROOT).decode()
    server.put(secret("cert-manager", "selfsigned-ca", encoded))
    server.put(secret("istio-system", "cacerts", encoded))
    server.put(thing(CONFIG_MAP, namespace, name, data={key: pem.decode()}))


@pytest.mark.parametrize(
    ("held", "anew"),
    [(ROOT, []), (ROOT + OTHER, ["keys.json"]), (OTHER, ["keys.json"])],
    ids=["own", "both", "other"],
)
def test_spire_begins_anew_where_it_met_another_root(
    server: ApiServer, held: bytes, anew: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kube: Any = server
    hold(server, "spire", "spire-bundle", "bundle.crt", held)
    monkeypatch.setattr(healing, "configuration_of", lambda *_: {})
    monkeypatch.setattr(node_faults, "lose_datastore", lambda configuration: ["keys.json"])
    assert healing.forget_other_roots(kube, DOCKER) == anew


def test_istiod_is_restarted_where_it_began_under_another_root(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube: Any = server
    publish = functools.partial(hold, server, "istio-system", "istio-ca-root-cert", "root-cert.pem")
    publish(ROOT)
    server.put(thing(POD, "istio-system", "istiod-1"))
    assert healing.heal_cluster(kube) == []
    publish(OTHER)
    delete = server.delete
    monkeypatch.setattr(server, "delete", lambda *words: delete(*words) and publish(ROOT))
    assert healing.heal_cluster(kube) == ["Pod istio-system/istiod-1"]
    assert server.list(POD) == []


def test_an_istiod_that_does_not_take_the_root_is_an_error(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube: Any = server
    monkeypatch.setenv("MESHPROOF_TIMEOUT_SCALE", "0.0001")
    hold(server, "istio-system", "istio-ca-root-cert", "root-cert.pem", OTHER)
    with pytest.raises(WaitTimeoutError, match="istiod publishes the root of the mesh"):
        healing.heal_cluster(kube)


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
