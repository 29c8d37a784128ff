"""Faults by way of the API server, against one that keeps objects and merges patches."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes.dynamic.exceptions import NotFoundError

from fixtures.chaos import actions, api_faults, binding
from fixtures.chaos.actions import NothingToTouchError
from fixtures.chaos.api_faults import BEFORE, ROLE, ROOT_COPY
from fixtures.cluster.engine import Engine
from fixtures.cluster.failures import UsageError
from fixtures.cluster.kube import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    DEPLOYMENT,
    POD,
    SECRET,
    STATEFUL_SET,
    Kind,
    Kube,
    Object,
)
from fixtures.cluster.wait import WaitTimeoutError

OLD, NEW = "b2xk", "bmV3"


class ApiServer:
    """Stands in for `Kube`: objects by kind, namespace and name, and what is done when one changes."""

    def __init__(self, *objects: Object) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.then: Callable[[ApiServer], None] = lambda _: None
        self.context = "kind-mesh"
        for one in objects:
            self.put(one)

    def put(self, one: Object) -> None:
        self.objects[one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]] = copy.deepcopy(one)

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        found = self.find(kind, name, namespace)
        if found is None:
            raise NotFoundError(type("", (), {"status": 404, "reason": "", "body": "", "headers": {}})())
        return found

    def find(self, kind: Kind, name: str, namespace: str) -> Object | None:
        return copy.deepcopy(self.objects.get((kind.name, namespace, name)))

    def list(self, kind: Kind, namespace: str | None = None, labels: str = "") -> list[Object]:
        return [
            copy.deepcopy(one)
            for (found, there, _), one in self.objects.items()
            if found == kind.name and namespace in (None, there)
        ]

    def merge(self, kind: Kind, name: str, namespace: str, change: Object) -> Object:
        result: Object = _merged(self.get(kind, name, namespace), change)
        self.put(result)
        self.then(self)
        return result

    def delete(self, kind: Kind, name: str, namespace: str, *, grace: int | None = None) -> bool:
        return self.objects.pop((kind.name, namespace, name), None) is not None

    def apply(self, manifest: str) -> None:
        self.put(json.loads(manifest))

    def kubectl_run(self, *words: str) -> str:
        verb, _, name, _, namespace, status, _, _, patch = words
        assert (verb, status) == ("patch", "--subresource=status")
        self.merge(CERTIFICATE, name, namespace, json.loads(patch))
        return ""


def _merged(target: Any, patch: Any) -> Any:
    """Follow RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def thing(kind: Kind, namespace: str, name: str, **fields: object) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **fields}


def workload(kind: Kind, namespace: str, name: str, replicas: int) -> Object:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}}
    return thing(kind, namespace, name, spec=spec)


def secret(namespace: str, name: str, root: str) -> Object:
    made = thing(SECRET, namespace, name, type="kubernetes.io/tls", data={"ca.crt": root, "tls.key": root})
    made["metadata"] |= {"labels": {"l": root}, "annotations": {"cert-manager.io/issuer-name": root}}
    return made


def request(namespace: str, name: str, certificate: str) -> Object:
    made = thing(CERTIFICATE_REQUEST, namespace, name)
    if certificate:
        made["metadata"]["annotations"] = {"cert-manager.io/certificate-name": certificate}
    return made


SERVER = workload(STATEFUL_SET, "spire", "spire-server", 2)
CONTROLLER = workload(DEPLOYMENT, "cert-manager", "cert-manager", 1)
EDITED = thing(CERTIFICATE, "istio-system", "cacerts", spec={"duration": "1440h", "isCA": True})
RULES = [
    {"apiGroups": ["cert-manager.io"], "resources": ["certificaterequests"], "verbs": ["get", "create"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
]
RIGHTS = thing(ROLE, "cert-manager", "spire-server", rules=RULES)


def mesh(*objects: Object) -> ApiServer:
    """A mesh whose root was issued as it should be."""
    root = thing(CERTIFICATE, "cert-manager", "selfsigned-ca", status={"revision": 1})
    secrets = (secret("cert-manager", "selfsigned-ca", OLD), secret("istio-system", "cacerts", OLD))
    return ApiServer(CONTROLLER, root, *secrets, *objects)


def issue_another_root(server: ApiServer) -> None:
    """Do as cert-manager, which puts a new root in the place of the one that was deleted."""
    server.put(secret("cert-manager", "selfsigned-ca", NEW))
    server.put(secret("istio-system", "cacerts", NEW))
    server.put(request("cert-manager", "selfsigned-ca-2", "selfsigned-ca"))
    server.put(request("cert-manager", "of-spire", ""))
    server.put(request("istio-system", "cacerts-2", "cacerts"))
    conditions = [{"type": "Ready", "status": "True"}, {"type": "Issuing", "status": "True"}]
    status = {"conditions": conditions, "nextPrivateKeySecretName": "next", "revision": 2}
    server.put(thing(CERTIFICATE, "cert-manager", "selfsigned-ca", status=status))


def issue_cacerts(server: ApiServer) -> None:
    """Do as cert-manager where its controller runs: issue `cacerts` from the root that there is."""
    root = server.find(SECRET, "selfsigned-ca", "cert-manager")
    controller = server.get(DEPLOYMENT, "cert-manager", "cert-manager")
    if root and controller["spec"]["replicas"] and not server.find(SECRET, "cacerts", "istio-system"):
        server.put(secret("istio-system", "cacerts", root["data"]["ca.crt"]))


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[ApiServer], ApiServer]:
    """Let all actions find a stand-in."""

    def bind(server: ApiServer) -> ApiServer:
        for module in (actions, api_faults):
            monkeypatch.setattr(module, "kube_of", lambda configuration: server)
        return server

    return bind


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every wait look once."""
    monkeypatch.setenv("MESHPROOF_TIMEOUT_SCALE", "0.0001")


Use = Callable[[ApiServer], ApiServer]


def test_scaling_remembers_the_replicas_in_the_cluster(use: Use) -> None:
    server = use(ApiServer(SERVER))
    assert api_faults.scale_to_zero("statefulset", "spire-server", "spire") == [
        "StatefulSet spire/spire-server"
    ]
    found = server.get(STATEFUL_SET, "spire-server", "spire")
    assert found["spec"]["replicas"] == 0
    assert json.loads(found["metadata"]["annotations"][BEFORE]) == {"spec": {"replicas": 2}}
    assert api_faults.scale_back("StatefulSet", "spire-server", "spire")
    found = server.get(STATEFUL_SET, "spire-server", "spire")
    assert (found["spec"]["replicas"], found["metadata"]["annotations"]) == (2, {})
    assert api_faults.scale_back("StatefulSet", "spire-server", "spire") == []


def test_scaling_waits_for_the_pods_to_go(use: Use, hurried: None) -> None:
    use(ApiServer(SERVER, thing(POD, "spire", "spire-server-0")))
    with pytest.raises(WaitTimeoutError) as caught:
        api_faults.scale_to_zero("StatefulSet", "spire-server", "spire")
    assert caught.value.last == ["spire-server-0"]


def test_what_is_not_there_or_has_no_replicas_cannot_be_scaled(use: Use) -> None:
    use(ApiServer(workload(STATEFUL_SET, "spire", "spire-server", 0)))
    with pytest.raises(NothingToTouchError):
        api_faults.scale_to_zero("StatefulSet", "spire-server", "spire")
    with pytest.raises(NothingToTouchError):
        api_faults.scale_to_zero("Deployment", "istiod", "istio-system")
    with pytest.raises(UsageError):
        api_faults.scale_to_zero("DaemonSet", "spire-agent", "spire")


def test_of_two_edits_the_first_says_what_was_before(use: Use) -> None:
    server = use(ApiServer(EDITED))
    assert api_faults.edit_certificate() == ["Certificate istio-system/cacerts"]
    assert server.get(CERTIFICATE, "cacerts", "istio-system")["spec"]["duration"] == "5183999s"
    api_faults.edit_certificate()
    assert server.get(CERTIFICATE, "cacerts", "istio-system")["spec"]["duration"] == "5183998s"
    assert api_faults.restore_certificate()
    assert server.get(CERTIFICATE, "cacerts", "istio-system")["spec"] == EDITED["spec"]


def test_requests_are_denied_and_nothing_else(use: Use) -> None:
    server = use(ApiServer(RIGHTS))
    assert api_faults.deny_requests() == ["Role cert-manager/spire-server"]
    requests, events = server.get(ROLE, "spire-server", "cert-manager")["rules"]
    assert requests["verbs"] == ["get"]
    assert events == RULES[1]
    with pytest.raises(NothingToTouchError):
        api_faults.deny_requests()
    assert api_faults.allow_requests() == ["Role cert-manager/spire-server"]
    assert server.get(ROLE, "spire-server", "cert-manager")["rules"] == RULES
    assert api_faults.allow_requests() == []


def test_a_deleted_secret_is_left_to_cert_manager(use: Use) -> None:
    server = use(mesh())
    assert api_faults.delete_secret("cacerts", "istio-system") == ["Secret istio-system/cacerts"]
    assert api_faults.restore_secret("cacerts", "istio-system") == []
    assert [one["metadata"]["name"] for one in server.list(SECRET)] == ["selfsigned-ca"]
    with pytest.raises(NothingToTouchError):
        api_faults.delete_secret("cacerts", "istio-system")


def test_of_the_root_the_first_copy_is_kept(use: Use) -> None:
    server = use(mesh())
    for root in (OLD, NEW):
        server.put(secret("cert-manager", "selfsigned-ca", root))
        api_faults.delete_secret("selfsigned-ca", "cert-manager")
        assert server.find(SECRET, "selfsigned-ca", "cert-manager") is None
        assert server.get(SECRET, ROOT_COPY, "cert-manager")["data"]["tls.key"] == OLD


def test_the_old_root_is_back_and_nothing_of_the_other_is_left(use: Use) -> None:
    server = use(mesh())
    before = server.get(SECRET, "selfsigned-ca", "cert-manager")
    api_faults.delete_secret("selfsigned-ca", "cert-manager")
    issue_another_root(server)
    server.then = issue_cacerts
    assert api_faults.restore_secret("selfsigned-ca", "cert-manager") == [
        "Secret cert-manager/selfsigned-ca",
        "Secret istio-system/cacerts",
        "Deployment cert-manager/cert-manager",
    ]
    assert server.get(SECRET, "selfsigned-ca", "cert-manager") == before
    assert server.get(SECRET, "cacerts", "istio-system")["data"]["ca.crt"] == OLD
    assert [one["metadata"]["name"] for one in server.list(CERTIFICATE_REQUEST)] == ["of-spire"]
    status = server.get(CERTIFICATE, "selfsigned-ca", "cert-manager")["status"]
    assert status == {"conditions": [{"type": "Ready", "status": "True"}], "revision": 2}
    assert not api_faults.root_is_away(server)  # type: ignore[arg-type]
    assert api_faults.restore_secret("selfsigned-ca", "cert-manager") == []


def test_the_root_is_put_back_only_while_nothing_is_issued(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    server = use(mesh())
    api_faults.delete_secret("selfsigned-ca", "cert-manager")
    replicas: list[int] = []
    apply = server.apply

    def look(manifest: str) -> None:
        replicas.append(server.get(DEPLOYMENT, "cert-manager", "cert-manager")["spec"]["replicas"])
        apply(manifest)

    monkeypatch.setattr(server, "apply", look)
    api_faults.restore_secret("selfsigned-ca", "cert-manager")
    assert replicas == [0]


def test_an_intermediate_that_does_not_come_back_is_an_error(use: Use, hurried: None) -> None:
    server = use(mesh())
    api_faults.delete_secret("selfsigned-ca", "cert-manager")
    issue_another_root(server)
    with pytest.raises(WaitTimeoutError, match="cacerts is issued from the root"):
        api_faults.restore_secret("selfsigned-ca", "cert-manager")


def test_pods_of_one_node_are_those_of_a_worker(use: Use) -> None:
    pods = []
    for node in ("mesh-control-plane", "mesh-worker2", "mesh-worker"):
        pods.append(thing(POD, "spire", f"on-{node}", spec={"nodeName": node}))
        pods[-1]["metadata"]["uid"] = node
    server = use(ApiServer(*pods))
    assert actions.kill_pods("spire", "app=spire-agent", node="one") == ["spire/on-mesh-worker"]
    assert len(server.list(POD)) == 2
    server.delete(POD, "on-mesh-worker2", "spire")
    assert actions.kill_pods("spire", "app=spire-agent", "one") == ["spire/on-mesh-control-plane"]
    with pytest.raises(NothingToTouchError):
        actions.kill_pods("spire", "app=spire-agent", node="one")
    with pytest.raises(UsageError):
        actions.kill_pods("spire", "app=spire-agent", node="two")


def test_an_action_never_guesses_its_engine() -> None:
    kube = Kube(Path("/there/kubeconfig"), "kind-mesh", Path("/there/kubectl"))
    engine = Engine("unix:///there", "/there/docker", "27.0")
    found = binding.engine_of(binding.configuration_of(kube, engine))
    assert (found.host, found.client) == (engine.host, engine.client)
    with pytest.raises(UsageError, match="set MESHPROOF_DOCKER"):
        binding.engine_of({**binding.configuration_of(kube), "docker": ""})


@pytest.mark.parametrize("context", ["kind-", "mesh", "my-kind-mesh"])
def test_only_a_kind_cluster_has_nodes(context: str) -> None:
    there = Path("/there")
    assert binding.cluster_name(Kube(there, "kind-mesh", there)) == "mesh"
    with pytest.raises(UsageError):
        binding.cluster_name(Kube(there, context, there))
