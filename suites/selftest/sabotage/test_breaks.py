from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import asdict
from functools import cache
from pathlib import Path

import pytest

from fixtures.cluster.timeouts import Timeouts
from fixtures.sabotage.__main__ import table
from fixtures.sabotage.breaks import BREAKS
from fixtures.sabotage.look import clauses_there_are
from fixtures.sabotage.model import Break

ROOT = Path(__file__).parents[3]


@cache
def clauses() -> tuple[str, ...]:
    return clauses_there_are()


def test_every_break_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(one.name for one in BREAKS).items() if count > 1] == []


@pytest.mark.parametrize("broken", BREAKS, ids=lambda one: one.name)
def test_a_break_says_what_it_is_and_what_it_rests_on(broken: Break) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", broken.name)
    assert broken.claim.endswith(".")
    assert broken.source
    assert broken.reddens


@pytest.mark.parametrize("broken", BREAKS, ids=lambda one: one.name)
def test_where_more_than_one_clause_turns_red_the_map_says_why(broken: Break) -> None:
    assert len(broken.reddens) == 1 or broken.because


@pytest.mark.parametrize("broken", BREAKS, ids=lambda one: one.name)
def test_a_break_is_impatient_of_time_limits_that_exist(broken: Break) -> None:
    assert broken.patience.keys() <= asdict(Timeouts()).keys()
    assert all(0 < scale < 1 for scale in broken.patience.values())


def test_breaks_name_clauses_that_exist() -> None:
    named = {clause for one in BREAKS for clause in (*one.reddens, *one.looks)}

    assert named - set(clauses()) == set()


def test_there_is_no_clause_that_no_break_turns_red() -> None:
    reddened = {clause for one in BREAKS for clause in one.reddens}

    assert sorted(set(clauses()) - reddened) == []


def test_the_stack_is_broken_in_forty_ways_or_more() -> None:
    assert len(BREAKS) >= 40


def test_the_map_in_the_documents_is_the_one_of_the_code() -> None:
    text = (ROOT / "docs" / "sabotage.md").read_text(encoding="utf-8")

    assert table(BREAKS) in text, f"{sys.executable} -m fixtures.sabotage prints what belongs there"
