"""Every experiment of manifests/chaos is a clause of its own: the file's title is its claim."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fixtures.chaos.conduct import Ground, conduct, heal, prepared
from fixtures.chaos.identities import read_svids
from fixtures.chaos.monkey import schedule
from fixtures.chaos.probes import PaceError, affordable, shortest_lifetime
from fixtures.chaos.records import Expectation
from fixtures.chaos.runner import load_experiments
from fixtures.cluster.kube import NODE, UNREACHABLE
from fixtures.cluster.run import CommandError
from fixtures.cluster.wait import WaitFailedError, WaitTimeoutError
from fixtures.report.catalogue import SLOW, conformance
from fixtures.report.outcomes import NOT_SUPPORTED, NothingObserved
from fixtures.session import Mesh

# Of those who observe: what the fault broke comes as a result.
_BROKE_OFF: tuple[type[Exception], ...] = (CommandError, WaitTimeoutError, WaitFailedError, *UNREACHABLE)
_MONKEY_SECONDS = {"quick": 120.0, "all": 600.0}
MULTI_NODE = "multi-node"
_log = logging.getLogger(__name__)

EXPERIMENTS = load_experiments(Path(__file__).parents[2] / "manifests" / "chaos")


def _marks(expected: Expectation) -> list[pytest.MarkDecorator]:
    return [] if expected.quick else [getattr(pytest.mark, SLOW)]


@pytest.fixture(scope="module")
def ground(own_mesh: Mesh) -> Iterator[Ground]:
    """The mesh, healed of an earlier run's faults, in which every request is a handshake."""
    image = own_mesh.image("fortio")
    found = Ground(own_mesh.kube, own_mesh.raised.engine, own_mesh.trust_domain, image, _log.info)
    _heal(found, own_mesh, "before the experiments")
    _affordable(found)
    with prepared(found):
        yield found


def _affordable(ground: Ground) -> None:
    """Skip where nobody would wait until certificates renew, as every experiment must."""
    lifetime = shortest_lifetime(read_svids(ground.kube).values(), ground.trust_domain)
    try:
        affordable(lifetime / 2)
    except PaceError as error:
        pytest.skip(f"pace: {error}, until every workload has renewed")


@pytest.fixture
def healed(ground: Ground, own_mesh: Mesh, request: pytest.FixtureRequest) -> Iterator[Ground]:
    """Heal before and after, also where a test breaks off and nothing is rolled back."""
    _heal(ground, own_mesh, request.node.name)
    yield ground
    _heal(ground, own_mesh, request.node.name)


def _heal(ground: Ground, mesh: Mesh, where: str) -> None:
    """Heal, and note in the report where that fails: what is seen after it proves little."""
    try:
        for one in heal(ground):
            _log.info("healed: %s", one)
    except Exception as error:
        mesh.record.healing_failed.append(f"{where}: {error}")
        raise


@pytest.mark.parametrize(
    ("name", "experiment"),
    [
        pytest.param(
            path.stem,
            experiment,
            id=path.stem,
            marks=[
                conformance(
                    id=f"chaos/{path.stem}",
                    level=expected.level,
                    requires=expected.requires,
                    claim=experiment["title"],
                ),
                *_marks(expected),
            ],
        )
        for path, experiment in EXPERIMENTS.items()
        for expected in [Expectation.of(experiment)]
    ],
)
def test_experiment(own_mesh: Mesh, healed: Ground, name: str, experiment: Mapping[str, Any]) -> None:
    """The mesh survives an experiment as its title says, under a load of handshakes.

    Each request of the load makes a new mutual TLS handshake in each of its four hops, and no
    proxy retries. None may be lost until the first certificate in hand expires, nor after the
    recovery; what is lost between must have been refused for an expired certificate. (A fault
    that takes a node away is forgiven what was lost while it lasted.) All answers must come from
    the identity that they should come from, to a certificate that was valid; no proxy may hold at
    any second what is not its own or not from SPIRE; every workload must renew its identity after
    the fault, and a fresh pod must get one. Chaos Toolkit's journal must hold by our strict verdict.

    > SPIRE's agent renews an X.509-SVID when half of its lifetime is over
    > (spiffe/spire pkg/common/rotationutil), so that the other half is there for an outage.

    Break: an agent that comes back without its server, or a proxy that does not ask it again.
    """
    prove(own_mesh, healed, name, experiment)


@conformance(id="chaos/monkey", requires={"spire"})
def test_monkey(own_mesh: Mesh, healed: Ground, request: pytest.FixtureRequest) -> None:
    """A random sequence of faults costs no request while certificates last, and all identities return.

    Judged like any other experiment. The seed is in the report; with `--monkey-seed` and
    `--monkey-seconds` it gives the same sequence again.

    > Chaos experiments are best run at random, as real failures come.
    > (principlesofchaos.org, "Vary Real-world Events")

    Break: as in the other experiments, on whichever fault the seed has.
    """
    seed = request.config.option.monkey_seed
    seed = secrets.randbelow(2**31) if seed is None else seed
    seconds = request.config.option.monkey_seconds or _MONKEY_SECONDS[request.config.option.chaos]
    experiment = schedule(seed, seconds)
    sequence = [one["name"] for one in experiment["method"] if one["type"] == "action"]
    _log.info("the monkey's seed is %s, for %s s: %s", seed, seconds, ", ".join(sequence))
    own_mesh.measure("chaos.monkey.seed", seed)
    own_mesh.measure("chaos.monkey.seconds", seconds)
    own_mesh.measure("chaos.monkey.sequence", sequence)
    prove(own_mesh, healed, "monkey", experiment)


def prove(mesh: Mesh, ground: Ground, name: str, experiment: Mapping[str, Any]) -> None:
    """Conduct an experiment, note its figures and its picture, and assert what it came to."""
    if MULTI_NODE in Expectation.of(experiment).requires and len(mesh.kube.list(NODE)) < 2:
        pytest.skip(f"{NOT_SUPPORTED} one node cannot be taken away without all of the mesh")
    directory = mesh.run_directory / "chaos" / name
    try:
        conducted = conduct(name, experiment, ground, directory)
    except _BROKE_OFF as error:
        raise NothingObserved(f"the observation broke off: {error}") from error
    judgement = conducted.judgement
    for figure, value in judgement.figures(conducted.records).items():
        mesh.measure(f"chaos.{name}.{figure}", value)
    mesh.picture(f"chaos: {name}", f"chaos-{name}", conducted.picture)
    report = "\n".join(map(str, judgement.results))
    if judgement.outcome == "unknown":
        raise NothingObserved(report)
    assert judgement.outcome == "pass", report
