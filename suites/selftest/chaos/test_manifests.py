from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from chaoslib.exceptions import InvalidExperiment  # type: ignore[import-untyped]
from chaoslib.experiment import ensure_experiment_is_valid  # type: ignore[import-untyped]

from fixtures.chaos.binding import KEYS
from fixtures.chaos.handshakes import MANIFEST
from fixtures.chaos.judging import HOPS, NAMESPACE
from fixtures.chaos.records import Expectation
from fixtures.chaos.runner import load_experiments
from fixtures.chaos.windows import HEALED_BY, heals, is_held

EXPERIMENTS = load_experiments(MANIFEST.parent)
PARAMETERS = [pytest.param(one, id=path.stem) for path, one in EXPERIMENTS.items()]
QUICK = {
    "kill-cert-manager",
    "kill-everything",
    "kill-istiod",
    "kill-spire-agents",
    "kill-spire-server",
    "spire-server-outage-03",
}
# Those of the design's table, one per row and way of doing it.
ALL = QUICK | {
    "block-kubelet",
    "cert-manager-outage",
    "delete-cacerts",
    "delete-selfsigned-ca",
    "deny-requests",
    "istiod-outage",
    "kill-cert-manager-mid-rotation",
    "kill-csi-driver",
    "kill-istiod-mid-reload",
    "kill-proxy",
    "kill-spire-agent",
    "partition-apiserver",
    "partition-server-agents",
    "pause-node",
    "restart-node",
    "spire-datastore-loss",
    "spire-server-outage-06",
    "spire-server-outage-11",
}
MODULES = {"actions", "api_faults", "authorities", "node_faults", "probes", "registrations"}
# In an experiment's record the fault begins with its action; what is in hand then must be known.
IN_HAND = "certificates_in_hand"


def providers(experiment: dict[str, Any], *parts: str) -> list[dict[str, Any]]:
    found = {
        "hypothesis": experiment["steady-state-hypothesis"]["probes"],
        "method": experiment["method"],
        "rollbacks": experiment["rollbacks"],
    }
    return [one["provider"] for part in parts or found for one in found[part]]


def function_of(provider: dict[str, Any]) -> Any:
    return getattr(importlib.import_module(provider["module"]), provider["func"])


def test_every_row_of_the_table_has_its_experiments_and_nothing_else_is_found() -> None:
    assert {path.stem for path in EXPERIMENTS} == ALL


def test_the_quick_set_is_the_core() -> None:
    said = {path.stem: Expectation.of(one) for path, one in EXPERIMENTS.items()}
    assert {name for name, one in said.items() if one.quick} == QUICK
    assert {name for name, one in said.items() if one.level == "core"} == QUICK


def test_only_an_outage_beyond_the_lifetime_must_be_refused() -> None:
    def outlasts(experiment: dict[str, Any]) -> float:
        arguments = [one.get("arguments", {}) for one in providers(experiment, "method")]
        return max((one.get("fraction", 0) for one in arguments), default=0)

    must = {path.stem for path, one in EXPERIMENTS.items() if Expectation.of(one).refusal}
    assert must == {path.stem for path, one in EXPERIMENTS.items() if outlasts(one) > 1}
    assert must == {"spire-server-outage-11"}


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
def test_an_experiment_uses_our_functions_only_and_as_they_are(experiment: dict[str, Any]) -> None:
    assert {one["module"] for one in providers(experiment)} <= {f"fixtures.chaos.{one}" for one in MODULES}
    for provider in providers(experiment):
        arguments = provider.get("arguments", {})
        # Raises a TypeError where one is missing, or none has that name.
        inspect.signature(function_of(provider)).bind(**arguments, configuration={})
        names = re.findall(r"\$\{(\w+)\}", str(arguments))
        assert set(names) <= experiment["configuration"].keys()


@pytest.mark.parametrize("experiment", PARAMETERS)
def test_an_experiment_is_a_claim_with_a_fault(experiment: dict[str, Any]) -> None:
    assert not experiment["title"].endswith(".")
    assert [one["func"] for one in providers(experiment, "method")].count(IN_HAND) == 1
    names = [one["name"] for one in experiment["method"] + experiment["rollbacks"]]
    assert len(names) == len(set(names))
    # The judgement starts from the first action, and probes alone break nothing.
    actions = [one for one in experiment["method"] if one["type"] == "action"]
    assert [one for one in actions if one["provider"]["func"] not in HEALED_BY.values()]


@pytest.mark.parametrize("experiment", PARAMETERS)
def test_what_an_experiment_holds_it_heals(experiment: dict[str, Any]) -> None:
    in_order = providers(experiment, "method", "rollbacks")
    for place, fault in enumerate(in_order):
        if is_held(fault["func"], fault.get("arguments", {})):
            assert [one for one in in_order[place + 1 :] if heals(fault, one)], fault


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_what_a_run_by_hand_needs_is_said_at_the_top(path: Path) -> None:
    head = path.read_text().partition("title:")[0]
    nodes = any(one["module"].endswith("node_faults") for one in providers(EXPERIMENTS[path]))
    assert all(f"MESHPROOF_{key.upper()}" in head for key in KEYS)
    assert ("MESHPROOF_DOCKER" in head) == nodes
    assert all(len(line) <= 110 for line in path.read_text().splitlines())


def test_the_strict_load_covers_every_hop() -> None:
    objects = list(yaml.safe_load_all(Path(MANIFEST).read_text()))
    (rule,) = [one for one in objects if one["kind"] == "DestinationRule"]
    routes = [one["spec"] for one in objects if one["kind"] == "VirtualService"]
    assert {one["metadata"]["namespace"] for one in objects} == {NAMESPACE}
    assert rule["spec"]["trafficPolicy"]["connectionPool"]["http"]["maxRequestsPerConnection"] == 1
    assert {host for spec in routes for host in spec["hosts"]} == {target for _, target in HOPS}
    assert all(http["retries"] == {"attempts": 0} for spec in routes for http in spec["http"])
