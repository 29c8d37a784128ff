"""Rotations under load, each from the state that the last one left, and the way back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta

from fixtures.chaos.traffic import Traffic
from fixtures.cluster.kube import CERTIFICATE, Kube, Object
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.pki import serial_hex
from fixtures.probe.bad_edit import BadEdit, try_edit
from fixtures.probe.certificate import certificate_state, key_kind, spec_faults, undo, wanted_key
from fixtures.probe.durations import go_duration
from fixtures.probe.layout import CACERTS, ISTIO
from fixtures.probe.places import rotated_places, stale_places, table
from fixtures.probe.rotation import Rotation, await_served, rotate
from fixtures.probe.secrets import secret_chain
from fixtures.session import Mesh

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rotations:
    """The Certificate, to be rotated.

    Attributes:
        original: Its spec before the first rotation.
        done: Every rotation, in its order.
    """

    mesh: Mesh
    traffic: Traffic
    original: Object
    done: list[Rotation] = field(default_factory=list)

    def rotate_under_load(self, name: str, *edits: Object, once_issued: Object | None = None) -> Rotation:
        """Make edits in quick succession, and follow the new intermediate while the load runs."""
        mesh = self.mesh
        with self.traffic.step(name) as notes:
            rotation = rotate(
                mesh.kube,
                name,
                edits,
                image=mesh.image("fortio"),
                engine=mesh.raised.engine,
                once_issued=once_issued,
            )
            notes.add(asdict(rotation.steps), rotation.log)
        self.done.append(rotation)
        _log.info("%s: seconds per step: %s", name, rotation.steps.seconds())
        return rotation

    def spec(self) -> Object:
        """Return the Certificate's spec as it is now."""
        spec: Object = self.mesh.kube.get(CERTIFICATE, CACERTS, ISTIO)["spec"]
        return spec

    @contextmanager
    def bad_edit(self, name: str, change: Object) -> Iterator[BadEdit]:
        """Try an edit that ought to have no effect, and put the spec back after the block."""
        with self.traffic.step(name) as notes:
            before = self.spec()
            try:
                bad = try_edit(self.mesh.kube, change, image=self.mesh.image("fortio"))
                notes.add({}, bad.log)
                yield bad
            finally:
                put_back(self.mesh, before)


def demand_everywhere(rotation: Rotation) -> None:
    """Demand the new intermediate in every place: one stale place fails, and the message shows all of them.

    Raises:
        AssertionError: A place is stale.
    """
    places = rotated_places(rotation)
    assert stale_places(places) == [], table(places, rotation.stuck)


def keeps_key(spec: Object) -> bool:
    """Say whether cert-manager keeps the private key when it issues by this spec."""
    # Unset, it was Never up to cert-manager 1.17; the API server shows the default from 1.18 on.
    return (spec.get("privateKey") or {}).get("rotationPolicy") != "Always"


def longer(spec: Object, hours: int) -> str:
    """Return a duration that is longer than the spec's by some hours, as the API server writes it."""
    return f"{go_duration(spec['duration']) // timedelta(hours=1) + hours}h0m0s"


@contextmanager
def rotations_of(mesh: Mesh, traffic: Traffic) -> Iterator[Rotations]:
    """Let tests rotate, and put the Certificate back as it was, also where one of them fails."""
    rotations = Rotations(mesh, traffic, mesh.kube.get(CERTIFICATE, CACERTS, ISTIO)["spec"])
    try:
        yield rotations
    finally:
        with traffic.step("put back"):
            put_back(mesh, rotations.original)


def put_back(mesh: Mesh, spec: Object) -> None:
    """Give the Certificate a former spec, and wait until istiod serves what comes of it.

    Raises:
        WaitTimeoutError: It does not come to that.
    """
    kube = mesh.kube
    if key_kind(secret_chain(kube, ISTIO, CACERTS)[0]) != wanted_key(spec):
        # Without Always cert-manager would keep the key, although the spec asks for another kind.
        always = {**(spec.get("privateKey") or {}), "rotationPolicy": "Always"}
        _edit_back(kube, {**spec, "privateKey": always})
        _await_issued(mesh, spec)
    _edit_back(kube, spec)
    await_served(kube, _await_issued(mesh, spec))


def _edit_back(kube: Kube, spec: Object) -> None:
    """Make the spec what it was, fields that came meanwhile taken away."""
    if change := undo(kube.get(CERTIFICATE, CACERTS, ISTIO)["spec"], spec):
        kube.merge(CERTIFICATE, CACERTS, ISTIO, {"spec": change})


def _await_issued(mesh: Mesh, spec: Object) -> str:
    def seen() -> tuple[bool, list[str], str]:
        cert = secret_chain(mesh.kube, ISTIO, CACERTS)[0]
        return certificate_state(mesh.kube).settled, spec_faults(spec, cert), serial_hex(cert)

    return wait_for(
        seen,
        lambda found: found[0] and not found[1],
        condition="the Secret istio-system/cacerts is what the former spec asks for",
        timeout=timeouts().certificate_ready,
        delay=0.3,
        successes=3,
    )[2]
