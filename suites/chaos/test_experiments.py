"""Every experiment of manifests/chaos is a clause of its own: the file's title is its claim."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from fixtures.chaos.conduct import conduct, heal
from fixtures.chaos.runner import load_experiments
from fixtures.cluster.kube import Kube
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved

EXPERIMENTS = load_experiments(Path(__file__).parents[2] / "manifests" / "chaos")


class Mesh(Protocol):
    """What an experiment needs of the session's mesh."""

    @property
    def kube(self) -> Kube: ...
    @property
    def trust_domain(self) -> str: ...
    @property
    def run_directory(self) -> Path: ...
    def measure(self, path: str, value: float) -> None: ...


@pytest.fixture
def healed(mesh: Mesh) -> Iterator[Mesh]:
    """Heal before and after, also where a test breaks off and nothing is rolled back."""
    heal(mesh.kube, mesh.trust_domain)
    yield mesh
    heal(mesh.kube, mesh.trust_domain)


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
    """
    directory = healed.run_directory / "chaos" / path.stem
    conducted = conduct(path, healed.kube, directory, trust_domain=healed.trust_domain)
    for name, seconds in (
        ("outageBudgetSeconds", conducted.budget_seconds),
        ("recoverySeconds", conducted.recovery_seconds),
    ):
        if seconds is not None:
            healed.measure(f"{name}.{path.stem}", seconds)
    healed.measure("requests", conducted.load.sent)
    healed.measure("failedRequests", conducted.load.failed)
    healed.measure("retries", conducted.retries)
    report = "\n".join(map(str, conducted.results))
    if conducted.outcome == "unknown":
        raise NothingObserved(report)
    assert conducted.outcome == "pass", report
