"""istiod's own certificates: the Secret, the xDS port and the webhook port."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from fixtures.cluster.kube import MUTATING_WEBHOOK, Kube
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.pki import TrustBundle
from fixtures.probe.istiod import WEBHOOK_PORT, XDS_PORT, istiod_chain
from fixtures.probe.layout import CACERTS, CERT_MANAGER, ISTIO, ROOT_SECRET
from fixtures.probe.secrets import secret_chain
from fixtures.probe.trust import Injector, injector_faults, istiod_faults, outliving_faults
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh

_PORTS = (XDS_PORT, WEBHOOK_PORT)


@conformance(id="trust/istiod-chain")
def test_istiod_chain(mesh: Mesh) -> None:
    """istiod serves its leaf, the intermediate of the Secret `cacerts` and the root, on both ports.

    > Istio, Plug in CA Certificates: "cert-chain.pem: the generated certificate chain which is
    > used by istiod"

    A Secret that was issued just now reaches istiod with the kubelet's next look; so long, and no
    longer, the old intermediate may be served.

    Break: a `cacerts` that istiod refuses, such as one under another root.
    """
    kube = mesh.kube
    roots = TrustBundle(secret_chain(kube, CERT_MANAGER, ROOT_SECRET)[:1])

    def observe() -> list[str]:
        secret = secret_chain(kube, ISTIO, CACERTS)
        return [
            f"port {port}: {fault}"
            for port in _PORTS
            for fault in istiod_faults(istiod_chain(kube, port), secret, roots, datetime.now(UTC))
        ]

    issued = secret_chain(kube, ISTIO, CACERTS)[0].not_valid_before_utc
    age = (datetime.now(UTC) - issued).total_seconds()
    wait_for(
        observe,
        lambda faults: not faults,
        condition="istiod serves what the Secret cacerts holds",
        timeout=max(0.0, timeouts().kubelet_sync - age),
    )


@conformance(id="trust/istiod-leaf-within-issuer")
def test_istiod_leaf_within_issuer(mesh: Mesh) -> None:
    """istiod's leaf does not outlive the intermediate that signed it.

    > RFC 5280 6.1.3 (a)(2), of every certificate of a path: "The certificate validity period
    > includes the current time."

    Break: an istiod that gives its leaf ten years whatever its intermediate has, as 1.16 does.
    """
    faults = []
    for port in _PORTS:
        chain = istiod_chain(mesh.kube, port)
        if len(chain) < 2:
            raise NothingObserved(f"istiod serves no intermediate on port {port}")
        faults += [f"port {port}: {fault}" for fault in outliving_faults(chain)]
    assert not faults, "; ".join(faults)


@conformance(id="trust/webhook-ca-agrees")
def test_webhook_ca_agrees(mesh: Mesh) -> None:
    """The `caBundle` of every injecting webhook verifies what istiod's webhook port serves.

    > Kubernetes, WebhookClientConfig: "`caBundle` is a PEM encoded CA bundle which will be used
    > to validate the webhook's server certificate."

    Break: a caBundle with another root, as a rotation leaves it that forgot the webhook.
    """
    injectors = _injectors(mesh.kube)
    if not injectors:
        raise NothingObserved("no webhook injects sidecars")
    served = istiod_chain(mesh.kube, WEBHOOK_PORT)
    now = datetime.now(UTC)
    faults = [
        f"{injector.name}: {fault}"
        for injector in injectors
        for fault in injector_faults(injector, served, now)
    ]
    assert not faults, "; ".join(faults)


def _injectors(kube: Kube) -> list[Injector]:
    found = []
    for config in kube.list(MUTATING_WEBHOOK, labels="app=sidecar-injector"):
        for hook in config["webhooks"]:
            client = hook["clientConfig"]
            service = client.get("service") or {}
            pem = base64.b64decode(client.get("caBundle") or "")
            found.append(
                Injector(
                    name=f"{config['metadata']['name']}/{hook['name']}",
                    host=f"{service.get('name')}.{service.get('namespace')}.svc",
                    bundle=TrustBundle.from_pem(pem) if pem else None,
                )
            )
    return found
