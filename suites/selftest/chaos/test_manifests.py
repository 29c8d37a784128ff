from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from chaoslib.exceptions import InvalidExperiment  # type: ignore[import-untyped]
from chaoslib.experiment import ensure_experiment_is_valid  # type: ignore[import-untyped]

from fixtures.chaos.binding import KEYS
from fixtures.chaos.conduct import HOPS, NAMESPACE
from fixtures.chaos.handshakes import MANIFEST
from fixtures.chaos.runner import load_experiments

EXPERIMENTS = load_experiments(MANIFEST.parent)
PARAMETERS = [pytest.param(one, id=path.stem) for path, one in EXPERIMENTS.items()]


def test_the_experiments_are_found_and_nothing_else() -> None:
    assert [path.stem for path in EXPERIMENTS] == ["kill-everything"]


@pytest.mark.parametrize("experiment", PARAMETERS)
def test_an_experiment_is_valid(experiment: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.setenv(f"MESHPROOF_{key.upper()}", "x")
    ensure_experiment_is_valid(experiment)


@pytest.mark.parametrize("missing", KEYS)
@pytest.mark.parametrize("experiment", PARAMETERS)
def test_an_experiment_that_names_no_cluster_does_not_run(
    experiment: dict[str, Any], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in KEYS:
        monkeypatch.setenv(f"MESHPROOF_{key.upper()}", "x")
    monkeypatch.delenv(f"MESHPROOF_{missing.upper()}")
    with pytest.raises(InvalidExperiment):
        ensure_experiment_is_valid(experiment)


@pytest.mark.parametrize("experiment", PARAMETERS)
def test_an_experiment_uses_our_functions_only(experiment: dict[str, Any]) -> None:
    hypothesis = experiment["steady-state-hypothesis"]["probes"]
    activities = hypothesis + experiment["method"] + experiment["rollbacks"]
    modules = {one["provider"]["module"] for one in activities}
    assert modules <= {"fixtures.chaos.actions", "fixtures.chaos.probes"}


def test_the_strict_load_covers_every_hop() -> None:
    objects = list(yaml.safe_load_all(Path(MANIFEST).read_text()))
    (rule,) = [one for one in objects if one["kind"] == "DestinationRule"]
    routes = [one["spec"] for one in objects if one["kind"] == "VirtualService"]
    assert {one["metadata"]["namespace"] for one in objects} == {NAMESPACE}
    assert rule["spec"]["trafficPolicy"]["connectionPool"]["http"]["maxRequestsPerConnection"] == 1
    assert {host for spec in routes for host in spec["hosts"]} == {target for _, target in HOPS}
    assert all(http["retries"] == {"attempts": 0} for spec in routes for http in spec["http"])
