"""What the rights of a namespace's admin reach, of all that decides who may sign, or that signs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import yaml

from fixtures.cluster.kube import (
    CERTIFICATE,
    CLUSTER_ISSUER,
    CLUSTER_SPIFFE_ID,
    CONFIG_MAP,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
    Object,
)
from fixtures.cluster.run import CommandError
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.pki import SpiffeId
from fixtures.probe.forgery import await_signed, certificate, forget
from fixtures.probe.istiod import istiod_pod
from fixtures.probe.layout import CACERTS, CERT_MANAGER, ISTIO, MESH_ISSUER, ROOT_SECRET, SPIRE
from fixtures.probe.secrets import authorities_with_keys
from fixtures.probe.workload_api import ask, asking_pod, await_identity, served_ids
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from suites.issuance.attacks import Ground, Open, call_with, judge
from suites.wire.knocking import CALLER, TRIED

_SIGNERS = (CERT_MANAGER, ISTIO, SPIRE)
_TOUCHED = "meshproof.io/touched-by-a-stranger"
_ATTEMPT = "meshproof-attempt"
_NODE = "/node"
# Volumes of pods, and the folder that manifests/spire/server gives to SPIRE's server.
_KEY_FILES = (
    f"{_NODE}/var/lib/kubelet/pods/*/volumes/kubernetes.io~secret/*/*",
    f"{_NODE}/var/lib/meshproof/spire-data/keys.json",
)
# In the shell's own words alone: an image need not have more.
_LOOK = """
for file in {files}; do
    while read -r line || [ -n "$line" ]; do
        case "$line" in *"PRIVATE KEY"*|*'"keys"'*) echo "$file"; break;; esac
    done < "$file"
done 2>/dev/null
echo done
"""
_NODE_GAP = (
    "the namespaces of workloads take pods with a folder of the node, as Istio's init container needs more "
    "than the Pod Security Standard `baseline` allows; `--overlay hardened` closes it. FINDINGS.md, 37; "
    "https://github.com/istio/istio/issues/35894, expires 2027-06-30"
)


@conformance(id="issuance/stranger-cannot-edit-issuer", requires={"spire"})
def test_nobody_else_decides_what_signs(ground: Ground) -> None:
    """Nobody who runs a namespace can change what signs for the mesh, nor pass off an issuer of his own.

    > "Issuers, and ClusterIssuers, are Kubernetes resources that represent certificate authorities"
    > (cert-manager, Issuer). "Permissions are purely additive (there are no "deny" rules)" (Kubernetes,
    > Using RBAC Authorization).

    Tried: to touch the issuer, its Secret, both Certificates, the published bundles and istiod's
    configuration; to make another issuer, and Certificates in the namespaces of the signers; and an issuer in
    his own namespace that has the name of the mesh's, whose certificate is then presented.

    Break: a ClusterRole for issuers that everybody is bound to.
    """
    his, found = ground.stranger, list(_touched(ground))
    issuer: Object = {"spec": {"selfSigned": {}}}
    made = (
        {
            "apiVersion": CLUSTER_ISSUER.api_version,
            "kind": "ClusterIssuer",
            **_named(_ATTEMPT),
            **issuer,
        },
        _issuer(CERT_MANAGER, _ATTEMPT, issuer),
        certificate(_ATTEMPT, ISTIO, MESH_ISSUER, ca=True),
        certificate(_ATTEMPT, CERT_MANAGER, MESH_ISSUER, ca=True),
    )
    for manifest in made:
        if not his.create(manifest):
            his.own.remove(yaml.safe_dump(manifest))
            where = manifest["metadata"].get("namespace", "")
            found.append(Open(f"create {manifest['kind']} {where}".strip(), "the API server made it"))
    found += _own_issuer(ground)
    judge(ground, "issuer", found)


@conformance(id="issuance/stranger-cannot-read-ca-keys", requires={"spire"})
def test_nobody_else_reads_a_key_that_signs(ground: Ground) -> None:
    """Nobody who runs a namespace can read the key of a CA of the mesh, nor become somebody who can.

    > "Using the hostPath volume type presents many security risks" (Kubernetes, Volumes): what a node holds
    > for one pod, another reads that has the node's files.

    Every Secret with the key of an authority is asked for; a token of every service account of the signers;
    a shell in each of their pods; and a pod of his own with the node's files, on the nodes of istiod and of
    SPIRE's server. Of a key that is found its place is told, and nothing else leaves the pod.

    Break: the policy for pods is not there; a ClusterRole for tokens that everybody is bound to.
    """
    his = ground.stranger
    found: list[Open] = []
    authorities = authorities_with_keys(his.own)
    if not authorities:
        raise NothingObserved("no Secret holds the key of an authority")
    for namespace, name in authorities:
        if not his.refusal("get", "secret", name, "-n", namespace, "-o", "name"):
            found.append(Open("secret", f"{namespace}/{name} was read"))
    for namespace in _SIGNERS:
        for account in his.own.list(SERVICE_ACCOUNT, namespace):
            name = account["metadata"]["name"]
            if not his.refusal("create", "token", name, "-n", namespace):
                found.append(Open("token", f"one for {namespace}/{name} was given"))
        for pod in his.own.list(POD, namespace):
            name = pod["metadata"]["name"]
            if not his.refusal("exec", "-n", namespace, name, "--", "/bin/true"):
                found.append(Open("exec", f"in {namespace}/{name}"))
    found += _keys_on_nodes(ground)
    if judge(ground, "keys", found, gaps=["node"]):
        pytest.xfail(_NODE_GAP)


@conformance(id="issuance/stranger-cannot-register", requires={"spire"})
def test_nobody_else_registers_a_workload(ground: Ground) -> None:
    """Nobody who runs a namespace gets another's SVID from SPIRE: not by entries, labels or borrowed names.

    > "A ClusterSPIFFEID is a cluster-wide resource" (spire-controller-manager, ClusterSPIFFEID CRD); what a
    > pod is given depends on its own namespace and service account, whatever it calls itself.

    Tried: to make and to change ClusterSPIFFEIDs and static entries; and a pod in his namespace, on the node
    of the workload that he is after, with its labels and a service account of its name: SPIRE gives it an
    identity of his own namespace, and refuses it the other one when it asks by name.

    Break: a ClusterRole for registrations that everybody is bound to; an ID that comes out of a label.
    """
    his, found = ground.stranger, []
    entry: Object = {"spiffeID": ground.victim, "parentID": ground.victim, "selectors": ["k8s:ns:none"]}
    template = {"spiffeIDTemplate": ground.victim, "podSelector": {"matchLabels": {"none": "none"}}}
    for kind, spec in (("ClusterSPIFFEID", template), ("ClusterStaticEntry", entry)):
        manifest = {"apiVersion": CLUSTER_SPIFFE_ID.api_version, "kind": kind, **_named(_ATTEMPT)}
        if not his.create({**manifest, "spec": spec}):
            his.own.remove(yaml.safe_dump(manifest))
            found.append(Open(f"create {kind}", "the API server made it"))
    for one in his.own.list(CLUSTER_SPIFFE_ID):
        found += _touch(ground, CLUSTER_SPIFFE_ID, one["metadata"]["name"], None)
    judge(ground, "registration", [*found, *_borrowed_name(ground)])


def _named(name: str, namespace: str = "") -> Object:
    return {"metadata": {"name": name, **({"namespace": namespace} if namespace else {})}}


def _issuer(namespace: str, name: str, spec: Object) -> Object:
    return {"apiVersion": CLUSTER_ISSUER.api_version, "kind": "Issuer", **_named(name, namespace), **spec}


def _touched(ground: Ground) -> Iterator[Open]:
    things = (
        (CLUSTER_ISSUER, ROOT_SECRET, None),
        (SECRET, ROOT_SECRET, CERT_MANAGER),
        (SECRET, CACERTS, ISTIO),
        (CERTIFICATE, ROOT_SECRET, CERT_MANAGER),
        (CERTIFICATE, CACERTS, ISTIO),
        (CONFIG_MAP, "istio", ISTIO),
        (CONFIG_MAP, "istio-ca-root-cert", ISTIO),
        (CONFIG_MAP, "spire-bundle", SPIRE),
        (CONFIG_MAP, "spire-server", SPIRE),
    )
    for kind, name, namespace in things:
        yield from _touch(ground, kind, name, namespace)


def _touch(ground: Ground, kind: Kind, name: str, namespace: str | None) -> list[Open]:
    """Try to annotate something, for real: what may be annotated may be changed."""
    group = kind.api_version.partition("/")[0] if "/" in kind.api_version else ""
    what = f"{kind.name.lower()}.{group}" if group else kind.name.lower()
    where = ("-n", namespace) if namespace else ()
    his = ground.stranger
    if his.refusal("annotate", what, name, *where, f"{_TOUCHED}=yes"):
        return []
    his.own.kubectl_run("annotate", what, name, *where, f"{_TOUCHED}-")
    return [Open(f"change {kind.name}", f"{namespace or ''}/{name} was changed")]


def _own_issuer(ground: Ground) -> list[Open]:
    """Present what an issuer of his own signed that has the name of the mesh's."""
    his, root, leaf = ground.stranger, "own-root", "own-leaf"
    own = his.namespace
    makes = (
        _issuer(own, "own-selfsigned", {"spec": {"selfSigned": {}}}),
        certificate(root, own, {"name": "own-selfsigned", "kind": "Issuer"}, ca=True),
        _issuer(own, ROOT_SECRET, {"spec": {"ca": {"secretName": root}}}),
        certificate(leaf, own, {"name": ROOT_SECRET, "kind": "Issuer"}, uris=[ground.victim]),
    )
    try:
        for manifest in makes:
            if refusal := his.create(manifest):
                raise NothingObserved(f"he may not have issuers of his own: {refusal}")
        if denied := await_signed(his.own, own, leaf):
            raise NothingObserved(f"his own issuer does not sign: {denied}")
        reply = call_with(ground, leaf)
    finally:
        forget(his.kube, own, root, leaf)
        for name in ("own-selfsigned", ROOT_SECRET):
            his.kube.delete(Kind(CLUSTER_ISSUER.api_version, "Issuer"), name, own)
    return [Open("issuer", f"{TRIED} answered {reply.code} to what his own signed")] if reply.code else []


def _keys_on_nodes(ground: Ground) -> list[Open]:
    kube = ground.stranger.own
    nodes = {kube.get(POD, istiod_pod(kube).name, ISTIO)["spec"]["nodeName"]}
    nodes |= {pod["spec"]["nodeName"] for pod in kube.list(POD, SPIRE, "app=spire-server")}
    with ExitStack() as stack:
        looks = {node: stack.enter_context(_looking_into(ground, node)) for node in sorted(nodes)}
        places = [place for node, name in looks.items() if name for place in _seen(ground, node, name)]
    cas = [one for one in places if f"/{CACERTS}/" in one or "spire-data" in one]
    return [Open("node", f"a pod of his own reads {' and '.join(cas)}")] if cas else []


@contextmanager
def _looking_into(ground: Ground, node: str) -> Iterator[str]:
    """Run a pod that looks for private keys in a node's files, and give its name; none if it is forbidden."""
    his, name = ground.stranger, f"look-into-{node}"
    look = _LOOK.format(files=" ".join(_KEY_FILES))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        **_named(name, his.namespace),
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "app",
                    "image": ground.mesh.image("proxyv2"),
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", look],
                    "securityContext": {"runAsUser": 0},
                    "volumeMounts": [{"name": "node", "mountPath": _NODE, "readOnly": True}],
                }
            ],
            "volumes": [{"name": "node", "hostPath": {"path": "/"}}],
        },
    }
    if his.create(pod):
        yield ""
        return
    try:
        yield name
    finally:
        his.kube.delete(POD, name, his.namespace, grace=0)


def _seen(ground: Ground, node: str, name: str) -> list[str]:
    """Wait until such a pod has looked, and say which files with private keys it can read."""
    his = ground.stranger
    printed = wait_for(
        lambda: his.own.logs(his.namespace, name, "app"),
        lambda text: text.endswith("done\n"),
        condition=f"pod {his.namespace}/{name} has looked at the node's files",
        timeout=timeouts().rollout_complete,
        transient=(CommandError,),
        delay=0.3,
    )
    return [f"{node}:{line.removeprefix(_NODE)}" for line in printed.splitlines()[:-1]]


def _borrowed_name(ground: Ground) -> list[Open]:
    his, name = ground.stranger, "meshproof-borrowed"
    victim = ground.bookinfo.pods[CALLER]
    labels = dict(his.own.get(POD, victim.name, victim.namespace)["metadata"]["labels"])
    own = SpiffeId.for_workload(ground.mesh.trust_domain, his.namespace, victim.service_account).raw
    pod = asking_pod(
        his.kube,
        ground.mesh.image("spire-agent"),
        namespace=his.namespace,
        name=name,
        service_account=victim.service_account,
        labels=labels,
        node=victim.node,
    )
    with pod:
        given = await_identity(his.own, his.namespace, name).spiffe_ids
        given += served_ids(ask(his.own, his.namespace, name, "x509"))
        by_name = ("jwt", "-audience", "meshproof", "-spiffeID", ground.victim)
        named = _answered(lambda: ask(his.own, his.namespace, name, *by_name))
    found = [Open("pod", f"SPIRE gave it {one}") for one in sorted(set(given) - {own})]
    return found + ([Open("JWT by name", f"SPIRE gave a token for {ground.victim}")] if named else [])


def _answered(attempt: Callable[[], str]) -> bool:
    """Say whether the Workload API answered; what it did may be a token, and is dropped."""
    try:
        attempt()
    except CommandError as error:
        if "PermissionDenied" in error.stderr + error.stdout:
            return False
        raise
    return True
