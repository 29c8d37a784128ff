from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from chaoslib.experiment import run_experiment  # type: ignore[import-untyped]

from fixtures.chaos import api_faults, node_faults
from fixtures.chaos.handshakes import MANIFEST
from fixtures.chaos.runner import load_experiments
from fixtures.chaos.windows import HEALED_BY, ROOT_SECRET, Window, faults_of, heals, is_held
from fixtures.probe import layout
from suites.selftest.chaos import stand_ins

BEGIN = datetime(2030, 1, 1, 12, tzinfo=UTC)
END = 100
STATEFUL_SET = {"kind": "statefulset", "name": "spire-server", "namespace": "spire"}


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def seconds(moment: datetime | None) -> float:
    assert moment
    return (moment - BEGIN).total_seconds()


def ran(
    begin: float,
    end: float,
    func: str,
    *,
    activity: str = "action",
    status: str = "succeeded",
    **arguments: str,
) -> dict[str, Any]:
    provider = {"type": "python", "module": "fixtures.chaos.api_faults", "func": func, "arguments": arguments}
    return {
        "activity": {"type": activity, "name": f"{func}-now", "provider": provider},
        "start": at(begin).isoformat(),
        "end": at(end).isoformat(),
        "status": status,
        "output": ["spire/spire-server"],
    }


def windows(*run: dict[str, Any], rollbacks: tuple[dict[str, Any], ...] = ()) -> list[tuple[float, float]]:
    """Give the windows in seconds."""
    journal = {"run": list(run), "rollbacks": list(rollbacks), "end": at(END).isoformat()}
    found = faults_of(journal)
    return [(seconds(one.begin), seconds(one.end)) for one in found]


def test_a_kill_lasts_as_long_as_its_action_and_a_probe_is_no_fault() -> None:
    kill = ran(3, 5, "kill_pods", namespace="spire", selector="app=spire-agent")
    probe = ran(5, 9, "certificates_in_hand", activity="probe")
    assert faults_of({"run": [kill, probe]}) == (Window("kill_pods-now", at(3), at(5)),)


def test_a_held_fault_lasts_until_the_end_of_its_heal() -> None:
    down, up = ran(1, 3, "scale_to_zero", **STATEFUL_SET), ran(20, 24, "scale_back", **STATEFUL_SET)
    assert windows(down, ran(3, 20, "outage_outlasts", activity="probe"), up) == [(1, 24)]


def test_a_heal_in_the_rollbacks_ends_it_too() -> None:
    assert windows(ran(1, 3, "deny_requests"), rollbacks=(ran(30, 31, "allow_requests"),)) == [(1, 31)]


def test_the_heal_of_another_target_does_not_end_it() -> None:
    down = ran(1, 3, "scale_to_zero", **STATEFUL_SET)
    other = ran(10, 11, "scale_back", **{**STATEFUL_SET, "name": "istiod"})
    assert windows(down, other) == [(1, END)]


def test_a_heal_by_default_arguments_ends_it() -> None:
    assert windows(ran(1, 2, "block_kubelet", node="worker"), ran(8, 9, HEALED_BY["block_kubelet"])) == [
        (1, 9)
    ]


def test_a_heal_that_failed_or_came_before_does_not_end_it() -> None:
    heal = HEALED_BY["pause_node"]
    before, pause = ran(0, 1, heal, node="worker"), ran(2, 3, "pause_node", node="worker")
    failed = ran(8, 9, heal, node="worker", status="failed")
    assert windows(before, pause, failed) == [(2, END)]
    assert windows(before, pause, failed, ran(10, 12, heal, node="worker")) == [(2, 12)]


def test_a_fault_that_failed_may_have_struck() -> None:
    assert windows(ran(1, 2, "pause_node", status="failed")) == [(1, END)]


def test_each_of_two_faults_has_its_own_heal() -> None:
    heal = HEALED_BY["block_kubelet"]
    run = [ran(1, 2, "block_kubelet"), ran(5, 6, heal), ran(10, 11, "block_kubelet"), ran(15, 16, heal)]
    assert windows(*run) == [(1, 6), (10, 16)]


def test_an_edit_is_over_at_once_and_its_undoing_is_no_fault() -> None:
    assert windows(ran(1, 2, "edit_certificate"), rollbacks=(ran(8, 9, "restore_certificate"),)) == [(1, 2)]


def test_the_names_are_those_of_the_actions() -> None:
    known = {*vars(api_faults), *vars(node_faults)}
    assert {*HEALED_BY, *HEALED_BY.values()} <= known
    assert ROOT_SECRET == layout.ROOT_SECRET


EXPERIMENTS = {path.stem: one for path, one in load_experiments(MANIFEST.parent).items()}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_held_fault_of_an_experiment_is_healed_by_it(name: str) -> None:
    """By a journal with no end of its own: a fault that nobody heals has none, either."""
    activities = [*EXPERIMENTS[name]["method"], *EXPERIMENTS[name]["rollbacks"]]
    run = [
        {
            "activity": one,
            "start": at(number).isoformat(),
            "end": at(number + 0.5).isoformat(),
            "status": "succeeded",
        }
        for number, one in enumerate(activities)
    ]
    found = faults_of({"run": run})
    assert found
    assert [one.name for one in found if one.end is None] == []


def test_only_the_root_secret_has_to_be_put_back() -> None:
    assert windows(ran(1, 2, "delete_secret", name="cacerts", namespace="istio-system")) == [(1, 2)]
    assert windows(ran(1, 2, "delete_secret", name="selfsigned-ca", namespace="cert-manager")) == [(1, END)]


def test_a_journal_that_was_broken_off_leaves_the_end_open() -> None:
    (window,) = faults_of({"run": [ran(1, 2, "deny_requests")], "rollbacks": []})
    assert window == Window("deny_requests-now", at(1), None, held=True)


def test_times_without_a_zone_are_utc() -> None:
    run = ran(1, 2, "kill_pods")
    run["start"] = at(1).replace(tzinfo=None).isoformat()
    assert windows(run) == [(1, 2)]


def test_times_with_another_zone_keep_it() -> None:
    run = ran(1, 2, "kill_pods")
    run["start"] = at(1).astimezone(timezone(timedelta(hours=2))).isoformat()
    assert windows(run) == [(1, 2)]


def test_a_heal_that_does_not_say_when_it_ended_is_the_end_all_the_same() -> None:
    """The first that succeeded; a second one, of another outage perhaps, is not asked."""
    up = {**ran(20, 24, "scale_back", **STATEFUL_SET), "end": None}
    again = ran(30, 31, "scale_back", **STATEFUL_SET)
    assert windows(ran(1, 3, "scale_to_zero", **STATEFUL_SET), up, again) == [(1, END)]


def test_nothing_is_healed_by_an_action_of_no_name() -> None:
    assert not heals({"type": "process", "path": "reboot"}, {"type": "process", "path": "reboot"})
    assert not is_held("kill_pods", {})


@pytest.mark.parametrize("rollbacks", [False, True])
def test_a_journal_of_the_real_chaos_toolkit_is_read(rollbacks: bool) -> None:
    touch = {
        "type": "action",
        "name": "kill-spire-server",
        "provider": {
            "type": "python",
            "module": stand_ins.__name__,
            "func": "touch",
            "arguments": {"what": ["spire/spire-server-0"]},
        },
    }
    experiment = {"title": "t", "description": "d", "method": [touch], "rollbacks": [touch] * rollbacks}
    before = datetime.now(UTC)
    found = faults_of(run_experiment(experiment, settings={}))
    assert [one.name for one in found] == ["kill-spire-server"] * (1 + rollbacks)
    assert before <= found[0].begin <= (found[0].end or before) <= datetime.now(UTC)
