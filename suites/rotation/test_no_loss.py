"""The judgement over all rotations of this folder, which runs after them: the loads that ran meanwhile."""

from __future__ import annotations

from fixtures.chaos.checks import merge
from fixtures.chaos.traffic import Traffic
from fixtures.report.catalogue import after, conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh
from suites.rotation.sampling import Samples


@after("rotation")
@conformance(id="rotation/no-loss", requires={"istio"})
def test_no_request_is_lost(mesh: Mesh, traffic: Traffic, samples: Samples) -> None:
    """Through all rotations of the folder no request is lost, in any of three loads.

    More than a hundred requests a second, each with a whole mutual TLS handshake, from a client with
    SPIRE's certificate to a server whose certificate istiod signed before the first rotation; requests
    over pooled connections between two of SPIRE's; and pings on one HTTP/2 connection that is never
    made anew. Counted are what the load generator got, what the proxies logged at both ends, and what
    no proxy may do: try again. In every rotation each load must have been answered.

    > istiod tells new and old certificates apart by nothing: what it signed before a reload stays
    > valid until it expires, as both intermediates end at the same root
    > (https://istio.io/latest/docs/tasks/security/cert-management/plugin-ca-cert/). Envoy takes a
    > renewed certificate for new connections and leaves those that are open alone
    > (https://www.envoyproxy.io/docs/envoy/latest/configuration/security/secret).

    Break: a rotation that changes the root, or a restart of the server in the middle of it.
    """
    observed = traffic.stop()
    observed.save(mesh.run_directory / "traffic" / "rotation")
    mesh.measure("traffic.rotation", {name: dict(one) for name, one in observed.figures().items()})
    for name, svg in traffic.pictures(samples.sampler.recording()):
        mesh.picture(f"rotation: {name}", f"rotation-{name}", svg)
    report = "\n".join(map(str, observed.results))
    if (outcome := merge(observed.results)) == "unknown":
        raise NothingObserved(report)
    assert outcome == "pass", report
