from __future__ import annotations

from fixtures.sabotage.look import clauses_there_are
from fixtures.sabotage.outages import experiments


def test_every_clause_of_chaos_is_an_experiment_or_the_monkey() -> None:
    assert set(experiments()) == {one for one in clauses_there_are() if one.startswith("chaos/")}
