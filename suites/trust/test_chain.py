from fixtures.report.catalogue import conformance
from fixtures.session import Mesh
from fixtures.probe.pods import meshed_pods

@conformance(id="trust/chain-depth", requires={"spire"})
def test_chain_depth(mesh: Mesh) -> None:
    """The chain that a proxy presents is its leaf and SPIRE's CA.

    > catalogue
    """
    assert meshed_pods(mesh.kube)
