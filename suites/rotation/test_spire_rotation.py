"""What SPIRE renews by itself: its CA and every SVID, seen at every proxy in every second."""

from __future__ import annotations

import logging

import pytest

from fixtures.probe.identity import started_parts
from fixtures.probe.rolling import authority_events
from fixtures.probe.samples import (
    Recording,
    figures,
    renew_faults,
    roll_faults,
    trust_faults,
    unknowns,
    unrenewed,
    unrolled,
)
from fixtures.probe.secrets import mesh_root
from fixtures.report.catalogue import after, conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh
from suites.rotation.sampling import ROLLS_WANTED, Samples, whole_recording

# SPIRE's CA rolls over while the tests of reload run, which leave SPIRE alone: nobody waits for it.
pytestmark = after("reload")
_log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def recording(mesh: Mesh, samples: Samples) -> Recording:
    """The samples since the first test of this folder, long enough for a judgement."""
    recording = whole_recording(samples.sampler)
    measured = figures(recording, authority_events(mesh.kube))
    mesh.measure("spireRotation", {**measured})
    _log.info("SPIRE's own rotation: %s", measured)
    return recording


@conformance(id="rotation/spire-ca-rolls", requires={"spire", "cert-manager"})
def test_spires_ca_rolls_over(mesh: Mesh, samples: Samples, recording: Recording) -> None:
    """SPIRE takes its next CA from cert-manager, every bundle covers it before its use, all move to it.

    > SPIRE's server prepares its next CA when half of the lifetime of the one in use is left, and
    > activates it when a sixth is left; what it signs from then on is signed by the new one
    > (spiffe/spire pkg/server/ca/manager/slot.go and pkg/server/ca/rotator).
    > A bundle holds what the SVIDs of its trust domain are verified with
    > (https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md).

    In no second may a proxy hold a bundle that refuses the chain of another one. A proxy that shows
    the old CA longer than one SVID lifetime after the first has moved has been left behind.

    Break: cert-manager's controller scaled to zero over a preparation; a Secret `selfsigned-ca`
    with another root; an agent cut off from its server, whose proxies keep the old CA.
    """
    root = mesh_root(mesh.kube)

    _demand_no_restart(mesh, samples)
    faults = trust_faults(recording, mesh.trust_domain)
    faults += roll_faults(recording, root, authority_events(mesh.kube))
    assert not faults, "\n".join(faults)
    _demand_observed(unknowns(recording) + unrolled(recording, ROLLS_WANTED))


@conformance(id="rotation/svid-renews", requires={"spire"})
def test_every_svid_is_renewed_at_half_life(mesh: Mesh, samples: Samples, recording: Recording) -> None:
    """Every proxy renews its SVID at half-life, with a new key and a serial that was never there.

    > SPIRE's agent renews an SVID when half of its lifetime is left, give or take a tenth of that
    > half (spiffe/spire pkg/common/rotationutil/rotationutil.go), and makes a new key for it
    > (pkg/agent/manager/sync.go). A serial number is unique for its issuer (RFC 5280 4.1.2.2).

    No leaf is held after its end, none outlives its issuer, and none names another identity.

    Break: an agent paused for half a lifetime; a ClusterSPIFFEID whose `ttl` exceeds that of the CA;
    two proxies that are served one SVID.
    """
    _demand_no_restart(mesh, samples)
    faults = renew_faults(recording)
    assert not faults, "\n".join(faults)
    _demand_observed(unknowns(recording) + unrenewed(recording))


def _demand_no_restart(mesh: Mesh, samples: Samples) -> None:
    if started_parts(mesh.kube) != samples.parts:
        raise NothingObserved("SPIRE was restarted meanwhile: agents then ask for all SVIDs anew")


def _demand_observed(unseen: list[str]) -> None:
    if unseen:
        raise NothingObserved("; ".join(unseen))
