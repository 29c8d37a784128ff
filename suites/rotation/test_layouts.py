"""The two layouts of the Secret `cacerts`: cert-manager's, and that of Istio's own documents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.chaos.traffic import Traffic
from fixtures.pki import fingerprint
from fixtures.probe import istiod
from fixtures.probe.material import istio_files, tls_files
from fixtures.probe.refusal import (
    ISTIO_LAYOUT,
    HeldCacerts,
    Observation,
    explained,
    held_cacerts,
    layout_faults,
)
from fixtures.probe.rotation import TLS_LAYOUT
from fixtures.report.catalogue import conformance
from fixtures.session import Mesh
from fixtures.stack.manifests import CACERTS_MANIFEST


@pytest.fixture(scope="module")
def held(own_mesh: Mesh) -> Iterator[HeldCacerts]:
    """Hold the Secret for this module, and give it back afterwards."""
    with held_cacerts(own_mesh.kube, own_mesh.image("fortio"), CACERTS_MANIFEST.read_text()) as held:
        yield held


@conformance(id="rotation/secret-layouts", requires={"istio"})
def test_istiod_takes_both_layouts(mesh: Mesh, traffic: Traffic, held: HeldCacerts) -> None:
    """istiod takes an intermediate from either layout of the Secret, and changes from one to the other.

    > Where there is a `tls.crt`, istiod reads `tls.crt`, `tls.key` and `ca.crt`; else `ca-cert.pem`,
    > `ca-key.pem`, `root-cert.pem` and `cert-chain.pem`; it looks anew at every change
    > (istio/istio pilot/pkg/bootstrap/istio_ca.go, detectSigningCABundleAndCRL).

    From cert-manager's layout to the other one, a rotation within that, and back; each with an
    intermediate of its own and without a restart. A fresh workload is signed for in both.

    Break: an istiod that remembers the layout of its start; a `cert-chain.pem` without the root.
    """
    with traffic.step("secret-layouts") as notes:
        there = held.put_back(istio_files, newcomer=True)
        notes.add({"to Istio's": there.changed}, there.log)
        _assert_taken(there, ISTIO_LAYOUT)
        within = held.put_back(istio_files)
        notes.add({"within": within.changed}, within.log)
        back = held.put_back(tls_files, newcomer=True)
        notes.add({"to TLS": back.changed}, back.log)
        _assert_taken(back, TLS_LAYOUT)
    seconds = {"toIstio": there, "withinIstio": within, "toTls": back}
    mesh.measure(
        "rotation.secret-layouts", {name: seen.seconds()["decided"] for name, seen in seconds.items()}
    )

    assert [_below_the_leaf(there), _below_the_leaf(back)] == [_expected(there), _expected(back)]


def _assert_taken(seen: Observation, line: str) -> None:
    faults = layout_faults(seen, line)
    assert not faults, explained(faults, seen)


def _below_the_leaf(seen: Observation) -> list[str]:
    return [fingerprint(cert) for cert in seen.served[istiod.XDS_PORT][1:]]


def _expected(seen: Observation) -> list[str]:
    return [fingerprint(cert) for cert in (seen.signer, *seen.roots.authorities)]
