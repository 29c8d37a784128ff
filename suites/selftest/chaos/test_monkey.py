from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import pairwise
from typing import Any

import pytest
import yaml
from chaoslib.experiment import ensure_experiment_is_valid  # type: ignore[import-untyped]

from fixtures.chaos.binding import KEYS
from fixtures.chaos.handshakes import MANIFEST
from fixtures.chaos.monkey import FAULTS, LONGEST_OUTAGE, SHORTEST, Fault, schedule
from fixtures.chaos.records import Expectation
from fixtures.chaos.runner import load_experiments
from fixtures.chaos.windows import faults_of

SEEDS = range(200)
LIFETIME = 60.0
MINUTES = 600.0
BEGIN = datetime(2030, 1, 1, 12, tzinfo=UTC)
# What an action is planned to take.
ACTION = 3.0
BY_NAME = {one.name: one for one in FAULTS}

Step = tuple[float, dict[str, Any]]


def planned(method: list[dict[str, Any]]) -> Iterator[Step]:
    """Give every activity with the planned second at which it ends."""
    now = 0.0
    for one in method:
        if one["type"] == "action":
            now += ACTION
        elif one["provider"]["func"] == "pause_outlasts":
            now += one["provider"]["arguments"]["seconds"]
        yield now, one


def shown(method: list[dict[str, Any]]) -> list[str | float]:
    """Give the names of the actions, and the seconds between them."""
    return [
        one["provider"]["arguments"]["seconds"] if one["name"] == "pause" else one["name"] for one in method
    ]


def faults(seed: int, seconds: float = MINUTES) -> list[tuple[Fault, float, float]]:
    """Give the faults with the planned seconds at which each begins and is over."""
    found: list[tuple[Fault, float, float]] = []
    for end, one in planned(schedule(seed, seconds, lifetime=LIFETIME)["method"]):
        if one["name"] in BY_NAME:
            found.append((BY_NAME[one["name"]], end - ACTION, end))
        elif one["type"] == "action":
            assert found, "a heal comes after its fault"
            fault, begin, _ = found.pop()
            found.append((fault, begin, end))
    return found


def test_a_seed_stands_for_one_sequence_for_ever() -> None:
    """These are the values that were drawn first; a change of them is a change of all reports' seeds."""
    assert shown(schedule(2, 170)["method"]) == [
        "certificates-in-hand",
        "kill-cert-manager-webhook",
        14.3,
        "kill-spire-server",
        4.0,
        "kill-cert-manager",
        11.8,
        "delete-cacerts",
        6.6,
        "kill-csi-driver",
        10.2,
        "kill-cert-manager-cainjector",
        4.9,
        "kill-cert-manager-webhook",
        7.7,
        "partition-server-agents",
        17.9,
        "heal-partition-server-agents",
        14.3,
        "kill-istiod",
        8.3,
        "kill-csi-driver",
        3.4,
        "kill-cert-manager-webhook",
        8.5,
        "kill-cert-manager-cainjector",
    ]


def test_other_seeds_give_other_sequences() -> None:
    assert len({json.dumps(schedule(seed, MINUTES)["method"]) for seed in SEEDS}) == len(SEEDS)


def test_every_fault_is_drawn_by_some_seed() -> None:
    assert {fault.name for seed in SEEDS for fault, _, _ in faults(seed)} == BY_NAME.keys()


@pytest.mark.parametrize("seconds", [SHORTEST, 33.3, 90, MINUTES])
@pytest.mark.parametrize("lifetime", [1.0, LIFETIME, 3600.0])
def test_there_is_a_fault_and_none_takes_longer_than_was_asked_for(seconds: float, lifetime: float) -> None:
    for seed in SEEDS:
        method = schedule(seed, seconds, lifetime=lifetime)["method"]
        assert any(one["type"] == "action" for one in method)
        assert list(planned(method))[-1][0] <= seconds + 1e-6


def test_what_keeps_spire_from_renewing_is_a_lifetime_apart() -> None:
    """Otherwise short outages would add up to one in which certificates expire."""
    for seed in SEEDS:
        ours = [one for one in faults(seed) if one[0].apart == "renewal"]
        assert len(ours) > 1
        for (_, _, over), (_, begin, _) in pairwise(ours):
            assert begin - over >= LIFETIME - 1e-6


def test_nothing_is_hit_twice_within_a_lifetime() -> None:
    for seed in SEEDS:
        over: dict[str, float] = {}
        for fault, begin, end in faults(seed):
            assert begin - over.get(fault.apart, -LIFETIME) >= LIFETIME - 1e-6
            over[fault.apart] = end


def test_cert_manager_gets_its_lease_back_before_it_is_killed_again() -> None:
    """Killed once a minute it never signs, and SPIRE's CA ends: FINDINGS, 27."""
    for seed in SEEDS:
        kills = [one for one in faults(seed) if one[0].name == "kill-cert-manager"]
        for (_, _, over), (_, begin, _) in pairwise(kills):
            assert begin - over >= 180 - 1e-6


def test_every_held_fault_is_healed_in_the_method_before_the_next_fault_and_in_time() -> None:
    """Read as a journal, with no end of its own: a fault that nobody heals has none, either."""
    outages = 0
    for seed in SEEDS:
        method = list(planned(schedule(seed, MINUTES, lifetime=LIFETIME)["method"]))
        run = [
            {
                "activity": one,
                "start": (BEGIN + timedelta(seconds=end - ACTION)).isoformat(),
                "end": (BEGIN + timedelta(seconds=end)).isoformat(),
                "status": "succeeded",
            }
            for end, one in method
            if one["type"] == "action"
        ]
        windows = faults_of({"run": run})
        for window, later in pairwise(windows):
            assert window.end
            assert window.end < later.begin
        for window in windows:
            assert window.held == BY_NAME[window.name].held
            assert window.end
            outage = (window.end - window.begin).total_seconds()
            assert outage <= LONGEST_OUTAGE * LIFETIME + 2 * ACTION
            outages += window.held
    assert outages > len(SEEDS)


def test_nothing_that_loses_requests_by_itself_is_in_it() -> None:
    functions = {one.function for one in FAULTS}
    assert functions.isdisjoint({"kill_process", "pause_node", "restart_node", "partition_apiserver"})
    assert "bookinfo" not in {one.arguments.get("namespace") for one in FAULTS}


def test_the_seed_is_in_the_report() -> None:
    assert "Seed 4711, for at most 90 s, with certificates of 60 s" in schedule(4711, 90)["description"]


def test_it_is_yaml_that_a_human_can_read() -> None:
    text = yaml.safe_dump(schedule(3, MINUTES), sort_keys=False)
    assert "&id" not in text
    assert yaml.safe_load(text) == schedule(3, MINUTES)


def test_it_asks_for_the_same_cluster_and_the_same_steady_state_as_the_others() -> None:
    experiments = {path.stem: one for path, one in load_experiments(MANIFEST.parent).items()}
    ours, theirs = schedule(1, 60), experiments["kill-everything"]
    assert ours["configuration"] == theirs["configuration"]
    assert ours["steady-state-hypothesis"] == theirs["steady-state-hypothesis"]


def test_it_says_how_it_is_to_be_judged() -> None:
    assert Expectation.of(schedule(1, 60)) == Expectation(quick=True, level="core", losses="by-expiry")


@pytest.mark.parametrize(("seconds", "lifetime"), [(19.9, 60), (60, 0), (60, -1)])
def test_no_time_is_refused(seconds: float, lifetime: float) -> None:
    with pytest.raises(ValueError):
        schedule(1, seconds, lifetime=lifetime)


def test_chaos_toolkit_can_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.setenv(f"MESHPROOF_{key.upper()}", "x")
    ensure_experiment_is_valid(schedule(2, MINUTES))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: one.name)
def test_its_functions_take_what_they_are_given(fault: Fault) -> None:
    for one in (fault.action(), *([fault.heal()] if fault.held else [])):
        provider = one["provider"]
        function = getattr(import_module(provider["module"]), provider["func"])
        inspect.signature(function).bind(**provider["arguments"], configuration={})
