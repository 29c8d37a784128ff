"""AUTO_RELOAD_PLUGIN_CERTS in its three states: one edit of one Certificate, seen by every istiod beside."""

from __future__ import annotations

from datetime import timedelta

from fixtures.pki import judge_chain
from fixtures.probe.rotation import LOOKED, missing_lines
from fixtures.probe.secrets import mesh_root
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh
from fixtures.stack.stackfile import Istiod
from suites.reload.beside import Tried
from suites.reload.switch import PERIODS, State, Switched, key_name


@conformance(id="reload/on", level="extended", requires={"istio"})
def test_on_reloads(mesh: Mesh, tried: Tried) -> None:
    """An istiod whose AUTO_RELOAD_PLUGIN_CERTS is true takes a new intermediate without a restart.

    > The flag, of Istio 1.13 to 1.30, has istiod watch /etc/cacerts and load what comes there
    > (istio/istio pilot/pkg/features/pilot.go, pilot/pkg/bootstrap/istio_ca.go).

    Break: an istiod without the flag, or one whose volume the kubelet does not refresh.
    """
    for key in tried.switched.of("switchable", "true"):
        _demand_reload(mesh, tried.switched, key)


@conformance(id="reload/off", level="extended", requires={"istio"})
def test_off_does_not_reload_until_it_restarts(mesh: Mesh, tried: Tried) -> None:
    """An istiod whose AUTO_RELOAD_PLUGIN_CERTS is false keeps its intermediate until it is restarted.

    > Without the flag nothing watches /etc/cacerts: it is read when istiod starts
    > (istio/istio pilot/pkg/bootstrap/istio_ca.go of 1.16, createIstioCA).

    That the kubelet gave it the new files is seen in the node, and that it went on with the old for
    two sync periods after that. An istiod with the flag on, beside it and on the same Secret, reloads.

    Break: an istiod whose flag is true.
    """
    switched = tried.switched
    for key in switched.of("switchable", "false"):
        watched = switched.watched[key]
        assert not watched.stuck, watched.stuck
        if watched.after.mounted is None:
            raise NothingObserved("without the engine nobody sees that the volume was swapped")
        assert watched.after.mounted > watched.changed
        assert watched.after.at - watched.after.mounted >= timedelta(seconds=PERIODS * switched.sync)
        assert watched.served is None, f"it reloaded after {watched.served_seconds} s"
        assert watched.after.serials == watched.before.serials
        assert watched.after.logged(LOOKED) == []
        assert watched.untouched
        restarted = switched.restarted[key]
        assert restarted.pod.uid != watched.after.pod.uid
        assert switched.new in restarted.serials, str(restarted)
        assert judge_chain(restarted.chain, mesh_root(mesh.kube), now=restarted.at).mismatches == ()


@conformance(id="reload/removed", level="extended", requires={"istio"})
def test_removed_flag_changes_nothing(mesh: Mesh, tried: Tried) -> None:
    """An istiod that no longer knows AUTO_RELOAD_PLUGIN_CERTS reloads although it is set to false.

    > Istio 1.31 took the flag away: what is plugged in is always watched
    > (istio/istio pilot/pkg/features/pilot.go, where it no longer is).

    Break: an istiod of a version that still has the flag.
    """
    for key in tried.switched.of("removed", "false"):
        _demand_reload(mesh, tried.switched, key)


def _demand_reload(mesh: Mesh, switched: Switched, key: tuple[Istiod, State]) -> None:
    watched = switched.watched[key]
    assert not watched.stuck, watched.stuck
    assert watched.untouched
    assert switched.new not in watched.before.serials
    assert switched.new in watched.after.serials, str(watched.after)
    assert judge_chain(watched.after.chain, mesh_root(mesh.kube), now=watched.after.at).mismatches == ()
    missing = missing_lines(watched.after.log)
    assert missing == [], f"istiod {key[0].version}: its log lacks, in its place: {missing}"
    seconds = watched.served_seconds
    assert seconds is not None
    mesh.measure(f"reload.{key_name(*key).replace('.', '-')}", {"served": seconds, "bound": switched.bound})
    assert seconds <= switched.bound
