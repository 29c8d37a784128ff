"""The suite proves that it can fail: each break of the stack turns red exactly what must see it."""

from __future__ import annotations

import pytest

from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.report.catalogue import BREAK, after
from fixtures.report.outcomes import RED
from fixtures.sabotage.breaks import BREAKS
from fixtures.sabotage.judge import never_red, sight_faults
from fixtures.sabotage.model import Break
from fixtures.sabotage.trace import differences, traces
from suites.sabotage.saboteur import OBSERVING, Saboteur

pytestmark = after("chaos")


def test_nothing_broken_turns_nothing_red(saboteur: Saboteur) -> None:
    """Without a break every clause that is looked at is green: what is red later is red by the break."""
    seen = saboteur.look("nothing-broken", saboteur.observing)

    assert sight_faults((), seen) == []


@pytest.mark.parametrize(
    "broken", [pytest.param(one, id=one.name, marks=getattr(pytest.mark, BREAK)(one.name)) for one in BREAKS]
)
def test_break(saboteur: Saboteur, broken: Break) -> None:
    """Exactly the clauses that the break names turn red, of all that are looked at."""
    seen = saboteur.try_break(broken)
    faults = sight_faults(broken.reddens, seen.outcomes)
    saboteur.conclude(broken, seen, faults)

    assert not faults, f"{broken.claim}\n" + "\n".join(faults)


def test_sabotage_leaves_no_trace(saboteur: Saboteur) -> None:
    """After all breaks every object is as it was, and everything that observes is green."""
    saboteur.kept.close()
    wait_for(
        lambda: differences(saboteur.before, traces(saboteur.ground.kube)),
        lambda found: not found,
        condition="every object is as it was",
        timeout=timeouts().manifest_applied,
    )

    every = [one for one in saboteur.clauses if one.partition("/")[0] in OBSERVING]
    seen = saboteur.look("afterwards", every)

    assert {clause: one for clause, one in seen.items() if one.outcome in RED} == {}


def test_every_clause_can_fail(saboteur: Saboteur) -> None:
    """There is no clause that no break turned red, where all breaks were made."""
    if not saboteur.made_all:
        pytest.skip(f"{len(saboteur.seen)} of {len(BREAKS)} breaks were made: --sabotage all makes them all")

    assert never_red(saboteur.clauses, saboteur.seen) == []
