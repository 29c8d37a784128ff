"""The one root, and who holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from fixtures.cluster.kube import CERTIFICATE_REQUEST, CONFIG_MAP, POD, Kube, Object
from fixtures.cluster.run import CommandError
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.pki import TrustBundle, UnreadableError, signed_by
from fixtures.probe.layout import CERT_MANAGER, DEMO, ISTIO, MANAGED_LABEL, ROOT_SECRET, SPIRE
from fixtures.probe.pods import is_running, meshed_pods
from fixtures.probe.secrets import config_map_bundle, secret_chain
from fixtures.probe.spire import server_bundle
from fixtures.probe.trust import (
    Reading,
    bundle_faults,
    parse_agent_answer,
    read_proxies,
    stale_requests,
)
from fixtures.probe.workload_api import ask, asking_pod
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh

_REQUEST_LABEL = "cert-manager.spiffe.io/trust-domain"
_REQUEST_PREFIX = "spiffe-ca-"
_MESH_ROOT = "istio-ca-root-cert"


@conformance(id="trust/root-is-cert-manager")
def test_root_is_cert_manager(mesh: Mesh, proxies: list[Reading]) -> None:
    """Everybody's root is the one of cert-manager: SPIRE's, each proxy's, and each namespace's.

    > SPIRE, UpstreamAuthority "cert-manager": "Once the referenced issuer has signed the request,
    > the intermediate and CA bundle is retrieved by SPIRE."

    Five places hold it: the Secret of cert-manager, SPIRE's server, the ConfigMap for its agents,
    the ROOTCA of each proxy, and Istio's ConfigMap in every namespace that has one; those of the
    mesh must.

    Break: an `istio-ca-root-cert` with another root in any namespace.
    """
    kube = mesh.kube
    root = TrustBundle(secret_chain(kube, CERT_MANAGER, ROOT_SECRET)[:1])
    found = {
        "SPIRE's server": server_bundle(kube),
        "ConfigMap spire-bundle": config_map_bundle(kube, SPIRE, "spire-bundle", "bundle.crt"),
        **{f"ROOTCA of {one.pod}": one.svid.bundle for one in proxies},
    }
    faults = []
    namespaces = set()
    for item in kube.list(CONFIG_MAP):
        if item["metadata"]["name"] != _MESH_ROOT:
            continue
        namespace = item["metadata"]["namespace"]
        namespaces.add(namespace)
        pem = str((item.get("data") or {}).get("root-cert.pem", ""))
        try:
            found[f"{namespace}/{_MESH_ROOT}"] = TrustBundle.from_pem(pem.encode())
        except UnreadableError as error:
            faults.append(f"{namespace}/{_MESH_ROOT}: {error}")
    lacking = {ISTIO, *(one.pod.namespace for one in proxies)} - namespaces
    faults += [f"{namespace} has no {_MESH_ROOT}" for namespace in sorted(lacking)]
    faults += bundle_faults(found, root)
    assert not faults, "; ".join(faults)


@conformance(id="trust/bundle-everywhere")
def test_bundle_everywhere(own_mesh: Mesh) -> None:
    """The bundle of SPIRE's server is the one of every agent and of every proxy.

    > SPIFFE Workload API, bundle: "Required. ASN.1 DER encoded X.509 bundle for the trust domain."

    A pod on each node asks that node's agent. The server is read before and after: whoever took
    over a new bundle meanwhile is right as well.

    Break: an agent cut off from the server while the root is exchanged.
    """
    kube = own_mesh.kube
    before = server_bundle(kube)
    meshed = meshed_pods(kube)  # without the asking pods, which have no proxy
    with _asking_pods(own_mesh) as pods:
        found = {f"ROOTCA of {one.pod}": one.svid.bundle for one in read_proxies(kube, meshed)}
        for node, pod in pods.items():
            found[f"the agent on {node}"] = _agent_bundle(kube, pod)
    if not pods or len(found) == len(pods):
        raise NothingObserved(f"{len(pods)} agents run, and {len(found) - len(pods)} proxies")
    faults = bundle_faults(found, before, server_bundle(kube))
    assert not faults, "; ".join(faults)


@conformance(id="trust/certificate-requests-cleaned", level="extended")
def test_certificate_requests_cleaned(mesh: Mesh, proxies: list[Reading]) -> None:
    """SPIRE leaves no CertificateRequest behind once it has its CA.

    > SPIRE, cert-manager plugin: "cleanupStaleCertificateRequests will attempt to delete
    > CertificateRequests that have been created for this trust domain, and are in a terminal state."

    A request that SPIRE is still waiting for is none that it left behind.

    Break: SPIRE's role loses the verb `delete` on certificaterequests.
    """
    root = secret_chain(mesh.kube, CERT_MANAGER, ROOT_SECRET)[0]
    if not any(signed_by(cert, root) for one in proxies for cert in one.svid.chain[1:]):
        raise NothingObserved("SPIRE has no CA from cert-manager, hence has asked it for none")

    def observe() -> tuple[list[str], list[str]]:
        requests = [one for one in mesh.kube.list(CERTIFICATE_REQUEST, CERT_MANAGER) if _is_spires(one)]
        names = [request["metadata"]["name"] for request in requests]
        return names, stale_requests(requests, datetime.now(UTC))

    _, stale = wait_for(
        observe,
        lambda seen: seen[0] == seen[1],
        condition="no CertificateRequest of SPIRE's is on its way",
        timeout=timeouts().certificate_ready,
    )
    assert not stale, f"SPIRE left in {CERT_MANAGER}: {', '.join(stale)}"


@contextmanager
def _asking_pods(mesh: Mesh) -> Iterator[dict[str, str]]:
    """Run a pod with an identity beside each agent; give its name by the node."""
    agents = [pod for pod in mesh.kube.list(POD, SPIRE, "app=spire-agent") if is_running(pod)]
    nodes = sorted({pod["spec"]["nodeName"] for pod in agents})
    pods = {node: f"meshproof-bundle-{number}" for number, node in enumerate(nodes)}
    key, _, value = MANAGED_LABEL.partition("=")
    with ExitStack() as stack:
        for node, name in pods.items():
            pod = asking_pod(
                mesh.kube,
                mesh.image("spire-agent"),
                namespace=DEMO,
                name=name,
                service_account="meshproof-bundle",
                labels={key: value},
                node=node,
            )
            stack.enter_context(pod)
        yield pods


def _agent_bundle(kube: Kube, pod: str) -> TrustBundle:
    # The answer holds the pod's own private key as well; it is dropped with the text.
    return wait_for(
        lambda: parse_agent_answer(ask(kube, DEMO, pod, "x509", "-output", "json")),
        len,
        condition=f"the agent beside pod {pod} gives it a bundle",
        timeout=timeouts().identity_served,
        transient=(CommandError,),
    )


def _is_spires(request: Object) -> bool:
    """Know a request by its label, and by its name where the label has been lost."""
    metadata = request["metadata"]
    labelled = _REQUEST_LABEL in (metadata.get("labels") or {})
    return labelled or str(metadata["name"]).startswith(_REQUEST_PREFIX)
