"""Who may have the mesh's root sign: by cert-manager's Certificates and requests, and by Kubernetes' own."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from fixtures.cluster.run import CommandError
from fixtures.pki import mint, signed_by, uri_sans
from fixtures.probe.forged import proper_leaf, signing_request
from fixtures.probe.forgery import (
    await_signed,
    certificate,
    forget,
)
from fixtures.probe.layout import MESH_ISSUER
from fixtures.probe.secrets import mesh_root, secret_chain
from fixtures.probe.signing import have_signed
from fixtures.probe.stranger import FORBIDDEN
from fixtures.report.catalogue import conformance
from suites.issuance.attacks import Ground, Open, call_with, judge
from suites.wire.knocking import TRIED

_LIFETIME = timedelta(minutes=10)
_GAP = (
    "a ClusterIssuer signs whatever anybody asks for in any namespace; `--overlay hardened` closes it. "
    "FINDINGS.md, 36; asked of upstream: https://github.com/cert-manager/cert-manager/issues/4514, "
    "expires 2027-06-30"
)


@conformance(id="issuance/stranger-cannot-forge-leaf", requires={"spire"})
def test_a_certificate_makes_nobody_a_workload(ground: Ground) -> None:
    """Nobody becomes a workload of the mesh by a Certificate that asks for its SPIFFE ID.

    > A ClusterIssuer "is non-namespaced so it can be used to issue Certificates across all namespaces"
    > (cert-manager, Issuer). "We must ensure that ... the signing authority was authorized to issue it"
    > (X509-SVID 5.2): the mesh's root is what says so, for whatever it signs.

    A namespace's admin creates a Certificate with the SPIFFE ID of the one caller that a workload lets in,
    and calls that workload from a pod that has the Secret. He must be told by the API server, and at once.

    Break: the policy for Certificates is not there.
    """
    his, name = ground.stranger, "forged-leaf"
    found: list[Open] = []
    try:
        if not his.create(certificate(name, his.namespace, MESH_ISSUER, uris=[ground.victim])):
            found.append(Open("certificate", _use_leaf(ground, name)))
    finally:
        forget(his.kube, his.namespace, name)
    if judge(ground, "forgedLeaf", found, gaps=["certificate"]):
        pytest.xfail(_GAP)


@conformance(id="issuance/stranger-cannot-forge-ca", requires={"spire"})
def test_a_certificate_makes_nobody_an_authority(ground: Ground) -> None:
    """Nobody gets an intermediate of the mesh's root, with which to sign whatever identity he likes.

    > "An X.509 SVID signing certificate is one which has set `keyCertSign` in the key usage extension"
    > (X509-SVID 3.2), and what chains to the bundle is valid (5.1): a second intermediate is a second SPIRE.

    Asked for by a Certificate with `isCA`, whose key lies in a Secret then, and by a CertificateRequest for a
    key that never was in the cluster; with the latter a leaf for the caller is made here, and presented.

    Break: the policy for Certificates, or the one for requests, is not there.
    """
    his, name = ground.stranger, "forged-ca"
    found: list[Open] = []
    try:
        if not his.create(certificate(name, his.namespace, MESH_ISSUER, ca=True)):
            found.append(Open("certificate", _describe_authority(ground, name)))
    finally:
        forget(his.kube, his.namespace, name)
    key = mint.new_key("p256")
    if signer := _requested(ground, key, signing_request(key, ()), ("cert sign", "crl sign")):
        leaf = proper_leaf(signer, ground.victim, now=datetime.now(UTC))
        found.append(Open("request", f"an authority signed it, and {_knock(ground, leaf)}"))
    if judge(ground, "forgedAuthority", found, gaps=["certificate", "request"]):
        pytest.xfail(_GAP)


@conformance(id="issuance/stranger-cannot-use-certificate-request", requires={"spire"})
def test_a_request_makes_nobody_a_workload(ground: Ground) -> None:
    """Nobody becomes a workload of the mesh by a request for a key of his own, of either kind.

    > A CertificateRequest "is a namespaced resource in cert-manager that is used to request X.509
    > certificates from an Issuer" (cert-manager, CertificateRequest). Kubernetes' own request names a signer;
    > that of a ClusterIssuer is `clusterissuers.cert-manager.io/<name>` (cert-manager, Kubernetes CSRs).

    Break: the policy for requests is not there.
    """
    key = mint.new_key("p256")
    request = signing_request(key, [ground.victim])
    found: list[Open] = []
    if leaf := _requested(ground, key, request, ("digital signature", "client auth")):
        found.append(Open("request", f"it was signed, and {_knock(ground, leaf)}"))
    signers = (f"clusterissuers.cert-manager.io/{MESH_ISSUER['name']}", "kubernetes.io/kube-apiserver-client")
    for signer in signers:
        manifest = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": "meshproof-stranger"},
            "spec": {
                "request": base64.b64encode(request).decode(),
                "signerName": signer,
                "usages": ["digital signature", "client auth"],
            },
        }
        if not ground.stranger.create(manifest):
            ground.stranger.own.kubectl_run("delete", "csr", "meshproof-stranger")
            found.append(Open(f"CSR for {signer}", "the API server took it"))
    if judge(ground, "request", found, gaps=["request"]):
        pytest.xfail(_GAP)


def _use_leaf(ground: Ground, name: str) -> str:
    his = ground.stranger
    if denied := await_signed(his.own, his.namespace, name):
        return f"the API server took it, and said nothing; cert-manager was denied later: {denied}"
    (leaf, *_) = secret_chain(his.own, his.namespace, name)
    reply = call_with(ground, name)
    return f"cert-manager signed {' '.join(uri_sans(leaf))}, and {TRIED} answered {reply.code or reply.error}"


def _describe_authority(ground: Ground, name: str) -> str:
    his = ground.stranger
    if denied := await_signed(his.own, his.namespace, name):
        return f"the API server took it, and said nothing; cert-manager was denied later: {denied}"
    (cert, *_) = secret_chain(his.own, his.namespace, name)
    by_root = any(signed_by(cert, root) for root in mesh_root(his.own).authorities)
    return f"cert-manager issued an authority, {'by' if by_root else 'not by'} the mesh's root"


def _requested(
    ground: Ground, key: mint.PrivateKey, request: bytes, usages: tuple[str, ...]
) -> mint.Issued | None:
    """Have something signed by a CertificateRequest; None where the API server forbids it."""
    his = ground.stranger
    try:
        cert, _ = have_signed(
            his.kube, request, MESH_ISSUER, namespace=his.namespace, usages=usages, lifetime=_LIFETIME
        )
    except CommandError as error:
        if FORBIDDEN in error.stderr:
            return None
        raise
    (root, *_) = mesh_root(his.own).authorities
    return mint.Issued(cert, key, (), root)


def _knock(ground: Ground, leaf: mint.Issued) -> str:
    seen = ground.knocker.ask({"forged": leaf})["forged"]
    return f"{TRIED} answered {seen.reply.code or seen.seen} to {' '.join(seen.uris)}"
