"""Every experiment of manifests/chaos is a clause of its own: the file's title is its claim."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.chaos.conduct import conduct, heal
from fixtures.chaos.runner import load_experiments
from fixtures.cluster.kube import UNREACHABLE
from fixtures.cluster.run import CommandError
from fixtures.cluster.wait import WaitTimeoutError
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh

# Of those who observe: what the fault broke comes as a result.
_BROKE_OFF: tuple[type[Exception], ...] = (CommandError, WaitTimeoutError, *UNREACHABLE)
_log = logging.getLogger(__name__)

EXPERIMENTS = load_experiments(Path(__file__).parents[2] / "manifests" / "chaos")


@pytest.fixture
def healed(own_mesh: Mesh) -> Iterator[Mesh]:
    """Heal before and after, also where a test breaks off and nothing is rolled back."""
    heal(own_mesh.kube, own_mesh.trust_domain)
    yield own_mesh
    heal(own_mesh.kube, own_mesh.trust_domain)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path,
            id=path.stem,
            marks=conformance(id=f"chaos/{path.stem}", requires={"spire"}, claim=experiment["title"]),
        )
        for path, experiment in EXPERIMENTS.items()
    ],
)
def test_experiment(healed: Mesh, path: Path) -> None:
    """The mesh survives an experiment as its title says, under a load of handshakes.

    Each request of the load makes a new mutual TLS handshake in each of its four hops, and no
    proxy retries. None may be lost until the first certificate in hand expires, nor after the
    recovery; what is lost between must have been refused for an expired certificate. All answers
    must come from the identity that they should come from, every workload must renew its identity
    after the fault, and Chaos Toolkit's journal must hold by our strict verdict.

    > SPIRE's agent renews an X.509-SVID when half of its lifetime is over
    > (spiffe/spire pkg/common/rotationutil), so that the other half is there for an outage.

    Break: an agent that comes back without its server, or a proxy that does not ask it again.
    """
    directory = healed.run_directory / "chaos" / path.stem
    try:
        conducted = conduct(path, healed.kube, directory, trust_domain=healed.trust_domain, say=_log.info)
    except _BROKE_OFF as error:
        raise NothingObserved(f"the observation broke off: {error}") from error
    for name, seconds in (
        ("outageBudgetSeconds", conducted.budget_seconds),
        ("recoverySeconds", conducted.recovery_seconds),
    ):
        if seconds is not None:
            healed.measure(f"{name}.{path.stem}", seconds)
    healed.measure(f"lostInBudget.{path.stem}", conducted.lost_in_budget)
    healed.measure("requests", conducted.load.sent)
    healed.measure("failedRequests", conducted.load.failed)
    healed.measure("retries", conducted.retries)
    report = "\n".join(map(str, conducted.results))
    if conducted.outcome == "unknown":
        raise NothingObserved(report)
    assert conducted.outcome == "pass", report
