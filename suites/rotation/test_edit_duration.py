"""The edit that operators make by hand: `cacerts` from 1440h to 720h, without touching anything else."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from fixtures.pki import dns_sans, public_key_fingerprint, serial_hex
from fixtures.probe.certificate import spec_faults
from fixtures.probe.rotation import Rotation, kubelet_sync_seconds
from fixtures.report.catalogue import conformance
from fixtures.session import Mesh
from suites.rotation.rotations import Rotations, demand_everywhere, keeps_key

_log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def rotation(rotations: Rotations) -> Rotation:
    """The duration, edited once for all clauses of this module."""
    return rotations.rotate_under_load("edit-duration", {"duration": "720h0m0s"})


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
    assert spec_faults(rotation.certificate["spec"], new) == []
    assert new.subject == old.subject
    assert dns_sans(new) == dns_sans(old)
    kept = public_key_fingerprint(new) == public_key_fingerprint(old)
    assert kept == keeps_key(rotation.certificate["spec"])


@conformance(id="rotation/istiod-reloads", requires={"istio"})
def test_istiod_takes_the_new_intermediate_without_a_restart(rotation: Rotation) -> None:
    """istiod takes the new intermediate without a restart: it logs, serves and counts it, and signs with it.

    > With AUTO_RELOAD_PLUGIN_CERTS istiod watches /etc/cacerts, reloads what it finds there, and sets
    > the metrics of its expiry anew
    > (https://github.com/istio/istio/blob/master/pilot/pkg/bootstrap/istio_ca.go, handleEvent).

    Every place is looked at: the Secret, the log, both ports, the metric, and what a fresh workload is
    given. In 1.16, and as reported of 1.23, the metric kept the old end
    (https://github.com/istio/istio/issues/55464).

    Break: a volume that the kubelet does not refresh, or an istiod whose watcher is not running.
    """
    demand_everywhere(rotation)


@conformance(id="rotation/latency", requires={"istio"})
def test_reload_is_as_fast_as_the_kubelet_allows(mesh: Mesh, rotation: Rotation) -> None:
    """From the edit to the first handshake it takes at most 1.5 kubelet sync periods and 10 seconds.

    From the edit to the first certificate of a fresh workload it takes the same and that pod's own start.

    > The kubelet checks whether a mounted Secret is fresh on every periodic sync
    > (https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod).

    Break: a kubelet that syncs later than it says, or an istiod that polls instead of watching.
    """
    assert not rotation.stuck, rotation.stuck
    assert rotation.newcomer
    seconds = rotation.steps.seconds()
    bound = 1.5 * kubelet_sync_seconds(mesh.kube, rotation.after.pod) + 10
    start = rotation.newcomer.start_seconds
    mesh.measure("rotationSeconds", {**seconds, "bound": bound, "workload-start": round(start, 2)})
    _log.info("seconds per step since the edit: %s; a workload starts in %.2f s", seconds, start)

    assert seconds["served"] <= bound, f"served after {seconds['served']} s; steps: {seconds}"
    assert seconds["first-workload"] <= bound + start, (
        f"first workload after {seconds['first-workload']} s, of them {start:.2f} s for its start; "
        f"steps: {seconds}"
    )
