from __future__ import annotations

from pathlib import Path

from fixtures.cluster.kube import Kube
from fixtures.stack.install import Installation, _phases
from fixtures.stack.manifests import MANIFESTS, load_pace
from fixtures.stack.phases import Phase, _check
from fixtures.stack.stackfile import load_stack


def phases() -> dict[str, Phase]:
    stack = load_stack(MANIFESTS / "stacks" / "current.toml")
    kube = Kube(Path("/none"), "kind-none", Path("kubectl"))
    installation = Installation(kube, Path("helm"), stack, "build", load_pace("fast"))
    return {phase.name: phase for phase in _phases(installation)}


def before(name: str, order: dict[str, Phase]) -> set[str]:
    """Name every phase that is done before one begins."""
    direct = order[name].after
    return set(direct).union(*(before(other, order) for other in direct))


def test_phases_of_the_set_up_can_all_run() -> None:
    _check(phases())


def test_istiod_begins_only_once_cacerts_is_there() -> None:
    """It makes a CA of its own where there is none, and keeps it (istio/istio#57853)."""
    assert "root, ClusterIssuer and cacerts" in before("istiod", phases())


def test_spire_begins_only_once_its_issuer_is_there() -> None:
    assert "root, ClusterIssuer and cacerts" in before("SPIRE server", phases())


def test_workloads_begin_only_once_the_injector_serves() -> None:
    assert "istiod" in before("apply gateways and Bookinfo", phases())


def test_spire_and_istio_do_not_wait_for_each_other() -> None:
    order = phases()

    assert "istiod" not in before("SPIRE agents, CSI driver", order)
    assert "SPIRE server" not in before("istiod", order)
