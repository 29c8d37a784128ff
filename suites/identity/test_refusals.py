"""Who gets no identity, or not another's, although the Workload API's socket is at hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest
import yaml

from fixtures.cluster.kube import POD, Kube
from fixtures.cluster.run import CommandError
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.pki import SpiffeId
from fixtures.probe.layout import DEMO, MANAGED_LABEL, PROBE_LABEL
from fixtures.probe.pods import managed_pod, meshed_pods
from fixtures.probe.sds import NoSecretError, proxy_svid
from fixtures.probe.workload_api import answers, ask, asking_pod, await_identity, served_ids
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh

_REFUSED = "rpc error: code = PermissionDenied desc = no identity issued"
# Envoy's log of how SPIRE's SDS answered; 3 is InvalidArgument.
_SDS_REFUSED = 'closed: 3, workload is not authorized for the requested identities ["default"]'
_SPIFFE_ID = re.compile(r"spiffe://[\w./-]+")
_LABEL, _, _VALUE = MANAGED_LABEL.partition("=")
_MANAGED = {_LABEL: _VALUE}


@conformance(id="identity/unregistered-refused", requires={"spire"})
def test_a_pod_without_an_entry_gets_nothing(own_mesh: Mesh) -> None:
    """A pod without an entry gets no SVID, and its sidecar never becomes Ready.

    > If the client is not entitled to receive any X509-SVIDs, then the server SHOULD respond with
    > the "PermissionDenied" gRPC status code. (SPIFFE Workload API 5.2.1)

    Asked over the Workload API and over SDS. Beside each stranger stands a registered pod, made
    after it, which does get its identity: that tells a refusal from a SPIRE that is slow.

    Break: a ClusterSPIFFEID without a pod selector; a sidecar that falls back to istiod's
    certificates.
    """
    kube = own_mesh.kube
    with (
        _sidecar_pod(own_mesh, "meshproof-stranger-sidecar", {}),
        _asker(own_mesh, "meshproof-stranger", "meshproof-stranger", {}),
        _sidecar_pod(own_mesh, "meshproof-registered-sidecar", _MANAGED),
        _asker(own_mesh, "meshproof-registered", "meshproof-registered", _MANAGED),
    ):
        await_identity(kube, DEMO, "meshproof-registered")
        _await_ready(kube, "meshproof-registered-sidecar")
        status = _refusal(lambda: ask(kube, DEMO, "meshproof-stranger", "x509"))
        assert status == _REFUSED, f"the stranger asked for an X.509-SVID; {status}"
        given = answers(kube, DEMO, "meshproof-stranger").spiffe_ids
        assert not given, f"the stranger was given {given}"
        stranger = managed_pod(kube.get(POD, "meshproof-stranger-sidecar", DEMO))
        assert not stranger.ready, f"{stranger} is Ready without an identity"
        with pytest.raises(NoSecretError, match="no certificate"):
            proxy_svid(kube, DEMO, stranger.name)
        assert _SDS_REFUSED in kube.logs(DEMO, stranger.name, "istio-proxy")


@conformance(id="identity/impostor-refused", requires={"spire"})
def test_an_impostor_gets_its_own_identity_only(own_mesh: Mesh, trust_domain: str) -> None:
    """A pod that looks like productpage, but for its service account, cannot get productpage's SVID.

    > It is the responsibility of the SPIFFE Workload Endpoint implementation to identify the
    > caller. (SPIFFE Workload API 4.1)

    It runs on productpage's node, where the agent holds that SVID, with productpage's labels. The
    X.509 profile has no way to ask for a name; the JWT profile has, so it is asked by name, too.

    Break: a ClusterSPIFFEID whose ID or selectors come from labels in place of the service account.
    """
    kube = own_mesh.kube
    victims = [pod for pod in meshed_pods(kube) if pod.workload == "productpage"]
    if not victims:
        raise NothingObserved("productpage does not run")
    victim = victims[0]
    labels = dict(kube.get(POD, victim.name, DEMO)["metadata"]["labels"])
    # With this one productpage's ReplicaSet would adopt the pod, and delete it as one too many.
    labels.pop("pod-template-hash", None)
    own = SpiffeId.for_workload(trust_domain, DEMO, "meshproof-impostor").raw
    other = SpiffeId.for_workload(trust_domain, DEMO, victim.service_account).raw
    with _asker(own_mesh, "meshproof-impostor", "meshproof-impostor", labels, victim.node):
        seen = await_identity(kube, DEMO, "meshproof-impostor")
        assert seen.spiffe_ids == (own,), f"the impostor was given {seen.spiffe_ids}"
        assert served_ids(ask(kube, DEMO, "meshproof-impostor", "x509")) == (own,)
        by_name = ("jwt", "-audience", "meshproof", "-spiffeID")
        # It may ask by name, so the refusal that follows is about the name.
        assert f"token({own}):" in ask(kube, DEMO, "meshproof-impostor", *by_name, own)
        status = _refusal(lambda: ask(kube, DEMO, "meshproof-impostor", *by_name, other))
        assert status == _REFUSED, f"the impostor asked for a JWT of {other}; {status}"
        assert answers(kube, DEMO, "meshproof-impostor").spiffe_ids == (own,)


@contextmanager
def _asker(
    mesh: Mesh, name: str, service_account: str, labels: Mapping[str, str], node: str = ""
) -> Iterator[None]:
    with asking_pod(
        mesh.kube,
        mesh.image("spire-agent"),
        namespace=DEMO,
        name=name,
        service_account=service_account,
        labels=labels,
        node=node,
    ):
        yield


@contextmanager
def _sidecar_pod(mesh: Mesh, name: str, labels: Mapping[str, str]) -> Iterator[None]:
    """Run a pod with the sidecar and the socket, as Istio injects them, and remove it afterwards."""
    container = {
        "name": "app",
        "image": mesh.image("fortio"),
        "imagePullPolicy": "IfNotPresent",
        "args": ["server"],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": DEMO,
            "labels": {"app": name, PROBE_LABEL: "true", **labels},
            "annotations": {"inject.istio.io/templates": "sidecar,spire"},
        },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        },
    }
    try:
        mesh.kube.apply(yaml.safe_dump(pod))
        yield
    finally:
        mesh.kube.delete(POD, name, DEMO, grace=0)


def _await_ready(kube: Kube, name: str) -> None:
    wait_for(
        lambda: managed_pod(kube.get(POD, name, DEMO)),
        lambda pod: pod.ready,
        condition=f"the registered pod {DEMO}/{name} is Ready",
        timeout=timeouts().identity_served,
    )


def _refusal(attempt: Callable[[], str]) -> str:
    """Return the status with which an attempt was refused, or what it got instead."""
    try:
        # The IDs alone: what else was answered may be a token.
        return f"it was answered with {' '.join(_SPIFFE_ID.findall(attempt()))}"
    except CommandError as error:
        return error.stderr.partition("\n")[0].strip()
