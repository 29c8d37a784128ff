"""One edit of one Certificate, as istiods of all versions and states of AUTO_RELOAD_PLUGIN_CERTS take it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
import yaml

from fixtures.cluster.kube import CERTIFICATE, DEPLOYMENT, POD
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.pki import serial_hex
from fixtures.probe import istiod
from fixtures.probe.beside import UNSETTLED, Seen, Watched, look, watch
from fixtures.probe.layout import CACERTS
from fixtures.probe.rotation import kubelet_sync_seconds
from fixtures.probe.secrets import secret_chain
from fixtures.report.outcomes import NOT_SUPPORTED
from fixtures.session import Mesh
from fixtures.stack.beside import NAMESPACE, Beside
from fixtures.stack.manifests import CACERTS_MANIFEST
from fixtures.stack.ready import await_certificate, await_rollout
from fixtures.stack.stackfile import Istiod

_log = logging.getLogger(__name__)

FLAG = "AUTO_RELOAD_PLUGIN_CERTS"
# What an istiod that does not reload is watched for, after its volume was swapped.
PERIODS = 2

State = Literal["true", "false"]


@dataclass(frozen=True)
class Switched:
    """One edit, as every istiod beside the mesh took it.

    Attributes:
        bound: Seconds within which a reload has to be served, by the kubelet's sync period.
        sync: That period.
        watched: By version and state of the flag.
        restarted: What was seen of those that did not reload, after their pod was deleted.
        new: The serial of the new intermediate.
    """

    bound: float
    sync: float
    watched: Mapping[tuple[Istiod, State], Watched]
    restarted: Mapping[tuple[Istiod, State], Seen]
    new: str

    def of(self, feature: str, state: State) -> list[tuple[Istiod, State]]:
        """Find the istiods with a feature that ran with the flag in a state.

        Raises:
            pytest.skip.Exception: There is none.
        """
        found = [key for key in self.watched if (key[0].auto_reload, key[1]) == (feature, state)]
        if not found:
            pytest.skip(f"{NOT_SUPPORTED} the stack has no istiod whose {FLAG} is {feature}")
        return found


def wanted(mesh: Mesh) -> list[Beside]:
    """Have cert-manager make a Secret like the mesh's own, and return what to start on it."""
    certificate = yaml.safe_load(CACERTS_MANIFEST.read_text())
    certificate["metadata"]["namespace"] = NAMESPACE
    mesh.kube.apply(yaml.safe_dump(certificate))
    await_certificate(mesh.kube, NAMESPACE, CACERTS)
    mode = mesh.raised.mode or "pull"
    return [
        Beside(name, one.image(mode), CACERTS, {FLAG: state}) for name, (one, state) in _keys(mesh).items()
    ]


def switch(mesh: Mesh) -> Switched:
    """Edit the Certificate once, watch all istiods on its Secret, and restart those that did not reload."""
    kube, engine, keys = mesh.kube, mesh.raised.engine, _keys(mesh)
    begin = datetime.now(UTC)
    before = {name: look(kube, NAMESPACE, name, engine, since=begin) for name in keys}
    sync = kubelet_sync_seconds(kube, istiod.istiod_pod(kube))
    old = serial_hex(secret_chain(kube, NAMESPACE, CACERTS)[0])
    unfit = [str(seen) for seen in before.values() if old not in seen.serials]
    assert not unfit, f"these did not begin with the intermediate {old}: {unfit}"

    changed = datetime.now(UTC)
    kube.merge(CERTIFICATE, CACERTS, NAMESPACE, {"spec": {"duration": "720h0m0s"}})
    new = wait_for(
        lambda: serial_hex(secret_chain(kube, NAMESPACE, CACERTS)[0]),
        lambda serial: serial != old,
        condition=f"the Secret {NAMESPACE}/{CACERTS} holds a new intermediate",
        timeout=timeouts().certificate_ready,
        delay=0.2,
    )

    def done(seen: Seen) -> bool:
        if new in seen.serials:
            return True
        # Of one that does not reload: long enough after it could have.
        patience = timedelta(seconds=PERIODS * sync)
        return bool(seen.mounted and seen.mounted > changed and seen.at - seen.mounted >= patience)

    watched = watch(
        lambda: {name: look(kube, NAMESPACE, name, engine, since=changed) for name in keys},
        before,
        done,
        changed=changed,
        new=new,
        timeout=timeouts().kubelet_sync,
    )
    for name, one in watched.items():
        _log.info("%s: the new intermediate is served after %s s", name, one.served_seconds)
    restarted = {
        keys[name]: _restarted(mesh, name, one.after) for name, one in watched.items() if not one.served
    }
    return Switched(1.5 * sync + 10, sync, {keys[name]: one for name, one in watched.items()}, restarted, new)


def _restarted(mesh: Mesh, name: str, seen: Seen) -> Seen:
    mesh.kube.delete(POD, seen.pod.name, NAMESPACE, grace=0)
    await_rollout(mesh.kube, DEPLOYMENT, NAMESPACE, name)
    return wait_for(
        lambda: look(mesh.kube, NAMESPACE, name, mesh.raised.engine, since=seen.at),
        lambda now: now.pod.uid != seen.pod.uid,
        condition=f"another pod runs {name}",
        timeout=timeouts().rollout_complete,
        transient=UNSETTLED,
    )


def _keys(mesh: Mesh) -> dict[str, tuple[Istiod, State]]:
    return {key_name(*key): key for one in mesh.stack.istiods for key in _states(one)}


def _states(one: Istiod) -> list[tuple[Istiod, State]]:
    if one.auto_reload == "switchable":
        return [(one, "true"), (one, "false")]
    return [(one, "false")]


def key_name(one: Istiod, state: State) -> str:
    """Name an istiod by its stack file and the state of the flag, as a Deployment may be called."""
    return f"{one.name.replace('.', '-')}-{state}"
