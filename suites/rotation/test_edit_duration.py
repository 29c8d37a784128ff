"""The edit that operators make by hand: `cacerts` from 1440h to 720h, without touching anything else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fixtures.pki import TrustBundle, dns_sans, judge_chain, public_key_fingerprint, serial_hex
from fixtures.probe import istiod
from fixtures.probe.layout import CERT_MANAGER, ROOT_SECRET
from fixtures.probe.rotation import RELOAD_LINES, Rotation, kubelet_sync_seconds, rotate
from fixtures.probe.secrets import secret_chain
from fixtures.report.catalogue import conformance
from fixtures.session import Mesh

_log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def rotation(mesh: Mesh) -> Iterator[Rotation]:
    """Edit the duration once for all clauses of this module, and put it back afterwards."""
    if not mesh.raised.ours:
        pytest.skip("it changes the cluster, which is not ours")
    yield rotate(mesh.kube, {"duration": "720h0m0s"}, mesh.raised.engine)
    back = rotate(mesh.kube, {"duration": "1440h0m0s"}, mesh.raised.engine)
    assert not back.stuck, back.stuck


@conformance(id="rotation/edit-duration", requires={"cert-manager"})
def test_edit_of_duration_gives_a_new_intermediate(rotation: Rotation) -> None:
    """Editing the Certificate's duration gives a new intermediate of that duration, for the same subject.

    > cert-manager re-issues a Certificate when its spec no longer matches the certificate in its
    > Secret; `spec.privateKey.rotationPolicy` says whether the key is kept
    > (https://cert-manager.io/docs/usage/certificate/).

    Break: cert-manager's controller scaled to zero, or an issuer that signs with another duration.
    """
    old, new = rotation.before.secret[0], rotation.after.secret[0]

    assert serial_hex(new) != serial_hex(old), rotation.stuck
    assert new.not_valid_after_utc - new.not_valid_before_utc == timedelta(hours=720)
    assert new.subject == old.subject
    assert dns_sans(new) == dns_sans(old)
    assert (public_key_fingerprint(new) == public_key_fingerprint(old)) == _keeps_key(rotation)


@conformance(id="rotation/istiod-reloads", requires={"istio"})
def test_istiod_takes_the_new_intermediate_without_a_restart(mesh: Mesh, rotation: Rotation) -> None:
    """istiod takes the new intermediate without a restart: it logs it, serves it and counts its expiry.

    > With AUTO_RELOAD_PLUGIN_CERTS istiod watches /etc/cacerts and reloads what it finds there
    > (istio/istio pilot/pkg/bootstrap/istio_ca.go).

    Break: a volume that the kubelet does not refresh, or an istiod whose watcher is not running.
    """
    before, after = rotation.before, rotation.after
    intermediate = after.secret[0]

    assert not rotation.stuck, rotation.stuck
    found = istiod.in_order(rotation.log, RELOAD_LINES)
    assert not isinstance(found, str), f"istiod's log lacks, in its place: {found}"
    assert (after.pod.uid, after.pod.restarts) == (before.pod.uid, before.pod.restarts)
    for port, chain in ((istiod.XDS_PORT, after.xds), (istiod.WEBHOOK_PORT, after.webhook)):
        assert serial_hex(intermediate) in [serial_hex(cert) for cert in chain], (
            f"port {port} serves an old one"
        )
        assert judge_chain(chain, _root(mesh), now=datetime.now(UTC)).mismatches == ()
    assert after.chain_expiry == intermediate.not_valid_after_utc.timestamp()


@conformance(id="rotation/latency", requires={"istio"})
def test_reload_is_as_fast_as_the_kubelet_allows(mesh: Mesh, rotation: Rotation) -> None:
    """From the edit to the first handshake it takes at most 1.5 kubelet sync periods and 10 seconds.

    > The kubelet checks whether a mounted Secret is fresh on every periodic sync
    > (https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod).

    Break: a kubelet that syncs later than it says, or an istiod that polls instead of watching.
    """
    assert not rotation.stuck, rotation.stuck
    seconds = rotation.steps.seconds()
    bound = 1.5 * kubelet_sync_seconds(mesh.kube, rotation.after.pod.name) + 10
    mesh.measure("rotationSeconds", {**seconds, "bound": bound})
    _log.info("edit -> served, seconds per step: %s", seconds)

    assert seconds["served"] <= bound, f"served after {seconds['served']} s; steps: {seconds}"


def _keeps_key(rotation: Rotation) -> bool:
    policy = (rotation.certificate["spec"].get("privateKey") or {}).get("rotationPolicy")
    # Unset, it was Never up to cert-manager 1.17; the API server shows the default from 1.18 on.
    return policy != "Always"


def _root(mesh: Mesh) -> TrustBundle:
    return TrustBundle(secret_chain(mesh.kube, CERT_MANAGER, ROOT_SECRET, "ca.crt"))
