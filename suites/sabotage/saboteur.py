"""Breaks the mesh in one way, has the suite look at it, and heals it."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby

import pytest
import yaml

from fixtures.chaos.binding import configuration_of
from fixtures.chaos.healing import heal_cluster
from fixtures.chaos.probes import all_ready, identities_as_expected
from fixtures.chaos.traffic import ISTIOD_ISSUED, needs
from fixtures.cluster.kube import NAMESPACE, Object
from fixtures.report.mutants import Summary, changed_since, line
from fixtures.report.outcomes import Judgement, NothingObserved
from fixtures.report.record import evidence_name
from fixtures.sabotage.breaks import BREAKS
from fixtures.sabotage.changes import added, undo_all
from fixtures.sabotage.judge import Seen, never_red
from fixtures.sabotage.look import ROOT, clauses_there_are, look
from fixtures.sabotage.model import Break, Ground
from fixtures.sabotage.trace import traces
from fixtures.sabotage.transport import PRESENTED
from fixtures.session import Mesh
from suites.wire.bookinfo import ONE_REQUEST_PER_CONNECTION

_log = logging.getLogger(__name__)

# Between two looks at pods that have to be Ready: what heals is there in a second or two.
_PAUSE = 0.3
# Those that only read; the rest makes pods of its own or waits for a renewal, and is looked at where
# a break is aimed at it.
OBSERVING = ("identity", "trust", "wire")
SLOW = frozenset(
    {
        "identity/ttl-bounds",
        "identity/entry-follows-pod",
        "identity/unregistered-refused",
        "identity/impostor-refused",
    }
)


# By a client outside the mesh, which is one pod: two runs at the same time cannot both have it.
_CALLING_IN = frozenset(
    {"wire/right-root-wrong-service-account-denied", "wire/ingress-serves-spire-identity"}
)
_OUTSIDE = frozenset({*PRESENTED, *_CALLING_IN, "wire/plaintext-refused"})
# What takes longest of identity's, where trust has the shorter look.
_BESIDE_TRUST = "identity/key-stays-home"


@dataclass(frozen=True)
class Saboteur:
    """What breaks one mesh.

    Attributes:
        words: Options by which another run of the suite finds it as it stands.
        clauses: Every clause there is, by id.
        before: What stood in the cluster before the first break.
        kept: Whatever is kept from one break to the next; closed where the next does not need it.
        seen: What came of each break so far.
        detected: The breaks that turned red exactly what they must.
    """

    mesh: Mesh
    ground: Ground
    words: Sequence[str]
    clauses: Sequence[str]
    before: Mapping[str, str]
    kept: ExitStack
    seen: list[Seen] = field(default_factory=list)
    detected: list[str] = field(default_factory=list)

    @property
    def observing(self) -> tuple[str, ...]:
        """The clauses that only read."""
        found = (one for one in self.clauses if one.partition("/")[0] in OBSERVING)
        return tuple(one for one in found if one not in SLOW)

    @property
    def made_all(self) -> bool:
        """Whether every break there is was made: of fewer nobody can say which clauses none turns red."""
        return len(self.seen) == len(BREAKS)

    def try_break(self, broken: Break) -> Seen:
        """Make a break, have it looked at, heal it, and wait until the mesh is whole.

        Raises:
            NothingObserved: The break could not be made.
            LookError: A look broke off.
        """
        begin = time.monotonic()
        looked_at = {*broken.reddens, *broken.looks}
        self._keep_loads(any(one.startswith(("rotation/", "reload/")) for one in looked_at))
        with self._healing(broken.name), ExitStack() as stack:
            try:
                stack.enter_context(broken.make(self.ground))
            except Exception as error:
                raise NothingObserved(f"the break was not made: {error!r}") from error
            made = time.monotonic()
            outcomes = self.look(broken.name, looked_at, broken.patience, broken.words)
            looked = time.monotonic()
        seen = Seen(broken.name, outcomes, round(time.monotonic() - begin, 1))
        steps = (made - begin, looked - made, time.monotonic() - looked)
        _log.info("%s: break %.1f s, look %.1f s, heal %.1f s", broken.name, *steps)
        self.seen.append(seen)
        return seen

    def _keep_loads(self, needed: bool) -> None:
        """Keep what the loads of rotations and reloads need: to come and go takes it longer than a look."""
        kept = self.ground.kube.find(NAMESPACE, ISTIOD_ISSUED)
        if needed and not kept:
            objects = needs(self.ground.image("fortio"))
            self.kept.enter_context(added(self.ground.kube, *objects, keep=True))
        elif kept and not needed:
            self.kept.close()

    def look(
        self,
        name: str,
        clauses: Collection[str],
        patience: Mapping[str, float] | None = None,
        words: Sequence[str] = (),
    ) -> dict[str, Judgement]:
        """Have clauses proved on the mesh as it is."""
        folder = self.mesh.run_directory / "sabotage" / evidence_name(name)
        with ExitStack() as stack:
            if not _CALLING_IN.isdisjoint(clauses):
                # Two runs add this rule, and each takes it away when the other may still need it.
                stack.enter_context(added(self.ground.kube, _same_rule()))
            return look((*self.words, *words), together(clauses), folder, scales=patience)

    def conclude(self, broken: Break, seen: Seen, faults: Sequence[str]) -> None:
        """Keep what was seen of a break; the reports of the looks only where it was not what must be."""
        folder = self.mesh.run_directory / "sabotage"
        red = {clause: seen.outcomes[clause].message for clause in seen.red}
        note = {
            "break": broken.name,
            "claim": broken.claim,
            "source": broken.source,
            "seconds": seen.seconds,
            "lookedAt": sorted(seen.outcomes),
            "turnedRed": red,
            "because": broken.because,
            "faults": list(faults),
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{evidence_name(broken.name)}.json").write_text(json.dumps(note, indent=2) + "\n")
        if not faults:
            self.detected.append(broken.name)
            shutil.rmtree(folder / evidence_name(broken.name), ignore_errors=True)

    def measure(self) -> None:
        """Note in the report what was broken, and what was seen of it."""
        if not self.seen:
            return
        self.mesh.measure("sabotage.made", len(self.seen))
        self.mesh.measure("sabotage.detected", len(self.detected))
        self.mesh.measure("sabotage.undetected", len(self.seen) - len(self.detected))
        self.mesh.measure("sabotage.seconds", round(sum(one.seconds for one in self.seen), 1))
        if self.made_all:
            self.mesh.measure("sabotage.clausesNeverRed", len(never_red(self.clauses, self.seen)))
        for one in self.seen:
            self.mesh.measure(f"sabotage.turnedRed.{one.name}", list(one.red))
        self._measure_mutants()

    def _measure_mutants(self) -> None:
        """Note beside it what `tox -e mutants` found: what part of faults in the judges a test sees."""
        made = Summary.model_validate_json((ROOT / "docs" / "mutation.json").read_text(encoding="utf-8"))
        files = (ROOT / one.module for one in made.modules)
        sources = {
            str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files if file.exists()
        }
        changed = changed_since(made, sources)
        self.mesh.measure("mutation.score", made.score)
        self.mesh.measure("mutation.mutants", made.mutants)
        self.mesh.measure("mutation.survived", made.survived)
        self.mesh.measure("mutation.modulesChangedSince", len(changed))
        _log.info("%s", line(made, changed))

    @contextmanager
    def _healing(self, name: str) -> Iterator[None]:
        """Wait until the mesh is whole after a break; what one that failed has left is undone first."""
        kube, settings = self.ground.kube, configuration_of(self.ground.kube, self.ground.engine)
        failed = True
        try:
            yield
            failed = False
        finally:
            try:
                left = undo_all(kube, between_breaks=True) if failed else []
                if left := left + heal_cluster(kube):
                    _log.info("%s: undone: %s", name, ", ".join(left))
                all_ready(configuration=settings, delay=_PAUSE)
                identities_as_expected(self.ground.trust_domain, configuration=settings)
            except Exception as error:
                self.mesh.record.healing_failed.append(f"{name}: {error}")
                raise


def together(clauses: Collection[str]) -> list[list[str]]:
    """Divide clauses into runs that can go on at the same time.

    One for each profile, one more for what needs a client outside the mesh, and one for each that waits
    for the most part.
    """
    trusting = any(one.startswith("trust/") for one in clauses)

    def key(clause: str) -> tuple[str, str]:
        if clause == _BESIDE_TRUST and trusting:
            return "trust", ""
        apart = "outside" if clause in _OUTSIDE else clause if clause in SLOW else ""
        return clause.partition("/")[0], apart

    found = sorted(clauses, key=key)
    return [list(group) for _, group in groupby(found, key)]


def _same_rule() -> Object:
    rule: Object = yaml.safe_load(ONE_REQUEST_PER_CONNECTION)
    return {**rule, "metadata": {**rule["metadata"], "name": "meshproof-sabotage-one-request"}}


def saboteur_of(mesh: Mesh, stack: str, kept: ExitStack) -> Saboteur:
    """Prepare to break a mesh that is ours.

    Args:
        mesh: The mesh.
        stack: The stack file, as the option `--stack` names it.
        kept: For what is kept from one break to the next; the caller closes it in the end.

    Raises:
        NothingObserved: Its nodes cannot be reached.
    """
    raised = mesh.raised
    if raised.engine is None:
        raise NothingObserved("without the engine of its nodes the mesh cannot be broken")
    if raised.pace.name != "fast":
        pytest.skip("pace: what a break changes is seen at the next renewal, and nobody waits for that")
    name = raised.kube.context.removeprefix("kind-")
    words = (
        *("--reuse-cluster", "--as-it-stands", f"--cluster-name={name}", f"--images={raised.mode}"),
        *(f"--kind-kubectl-bin={raised.kube.kubectl}", f"--pace={raised.pace.name}", f"--stack={stack}"),
        f"--overlay={raised.overlay}",
    )
    ground = Ground(raised.kube, raised.engine, mesh.trust_domain, mesh.image)
    return Saboteur(mesh, ground, words, clauses_there_are(), traces(raised.kube), kept)
