"""The judgement over all refusals of this folder, which runs after them: the loads that ran meanwhile."""

from __future__ import annotations

from fixtures.chaos.checks import merge
from fixtures.chaos.traffic import Traffic
from fixtures.report.catalogue import after, conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh


@after("reload")
@conformance(id="reload/no-loss", requires={"istio"})
def test_no_request_is_lost(mesh: Mesh, traffic: Traffic) -> None:
    """While istiod refuses bad material no request is lost, in any of three loads.

    The loads and what is counted are those of rotation/no-loss.

    > istiod verifies new files in /etc/cacerts before it takes them, and goes on with what it has where
    > they are no good (istio/istio pilot/pkg/bootstrap/istio_ca.go).

    Break: an istiod that takes another root, or a restart of the server in the middle of a refusal.
    """
    observed = traffic.stop()
    observed.save(mesh.run_directory / "traffic" / "reload")
    mesh.measure("traffic.reload", {name: dict(one) for name, one in observed.figures().items()})
    for name, svg in traffic.pictures():
        mesh.picture(f"reload: {name}", f"reload-{name}", svg)
    report = "\n".join(map(str, observed.results))
    if (outcome := merge(observed.results)) == "unknown":
        raise NothingObserved(report)
    assert outcome == "pass", report
