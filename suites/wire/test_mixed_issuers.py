"""Calls between a workload of SPIRE's and one of istiod's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import yaml
from cryptography import x509

from fixtures.cluster.kube import POD, Object
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.probe.layout import CACERTS, DEMO, ISTIO
from fixtures.probe.pods import managed_pod
from fixtures.probe.secrets import secret_chain
from fixtures.report.catalogue import conformance
from fixtures.session import Mesh
from suites.wire.bookinfo import (
    CLIENT,
    PORT,
    Bookinfo,
    applied,
    await_endpoint,
    await_fresh,
    held_meanwhile,
    unique_path,
)
from suites.wire.calls import await_hops, judge

_NAME = "meshproof-of-istiod"
_CALLEE = "details"


@conformance(id="wire/mixed-issuers", requires={"spire"})
@pytest.mark.usefixtures("one_request_per_connection")
def test_both_issuers_trust_each_other(own_mesh: Mesh, bookinfo: Bookinfo) -> None:
    """A workload with a certificate of SPIRE's and one with istiod's call each other by mutual TLS.

    > Trust in an SVID is "standard X.509 path validation" (X509-SVID 5.1): both CAs are intermediates of one
    > root, so that a mesh may move from istiod's certificates to SPIRE's one workload at a time.

    In either direction both proxies saw the right SPIFFE ID, and the serial on the wire is that of a
    certificate which the caller held and which its own CA signed, by the authority key identifier.

    Break: another root for istiod; SPIRE's bundle without the mesh's root.
    """
    (authority, *_) = secret_chain(bookinfo.kube, ISTIO, CACERTS)
    start, path, back_path = datetime.now(UTC), unique_path(), unique_path()
    with _workload_of_istiod(own_mesh, bookinfo) as both:
        await_fresh(both, [(CLIENT, _NAME), (_NAME, _CALLEE)])
        with held_meanwhile(both, [CLIENT, _NAME]) as held:
            both.get(f"http://{_NAME}:{PORT}{path}")
            both.get(f"http://{_CALLEE}:{PORT}{back_path}", sender=_NAME)
        hops = await_hops(both, [(CLIENT, _NAME, path), (_NAME, _CALLEE, back_path)], start)
    faults = judge(both, hops, held, {_NAME: {_key_id(authority)}})
    assert not faults, "; ".join(faults)


@contextmanager
def _workload_of_istiod(mesh: Mesh, bookinfo: Bookinfo) -> Iterator[Bookinfo]:
    """Run a workload whose proxy asks istiod's CA, with a Service, until the client's proxy knows it."""
    kube = bookinfo.kube
    with applied(kube, yaml.safe_dump_all(_objects(mesh.image("fortio")))):
        pod = wait_for(
            lambda: managed_pod(kube.get(POD, _NAME, DEMO)),
            lambda seen: seen.ready,
            condition=f"pod {_NAME}, with a certificate of istiod's, is ready",
            timeout=timeouts().identity_served,
            delay=0.5,
        )
        both = bookinfo.adopt(_NAME, pod)
        await_endpoint(both, _NAME, _NAME)
        yield both


def _objects(image: str) -> list[Object]:
    metadata = {"name": _NAME, "namespace": DEMO}
    container = {
        "name": "app",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["server", "-http-port", str(PORT)],
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": _NAME}, "ports": [{"name": "http", "port": PORT}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **metadata,
                "labels": {"app": _NAME},
                # Istio's own template alone: with SPIRE's socket the agent would not ask istiod.
                "annotations": {"inject.istio.io/templates": "sidecar"},
            },
            "spec": {
                "serviceAccountName": _NAME,
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
            },
        },
    ]


def _key_id(cert: x509.Certificate) -> str:
    return cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
