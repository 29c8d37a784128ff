"""Actions, probes, load and counters, against answers as the real parts give them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures.chaos import actions, binding, handshakes, load, probes, runner
from fixtures.chaos.checks import Counters
from fixtures.cluster.failures import UsageError
from fixtures.cluster.kube import Kind, Kube, Object
from suites.selftest.chaos import stand_ins

KUBE = Kube(Path("/there/kubeconfig"), "kind-there", Path("/there/kubectl"))


def pod(name: str, namespace: str, labels: dict[str, str], *, ready: bool = True) -> Object:
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": name, "labels": labels},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def workload(name: str, **spec: object) -> Object:
    return {
        "metadata": {"name": name, "namespace": "spire"},
        "spec": {"selector": {"matchLabels": {"app": name}}, **spec},
        "status": {},
    }


@dataclass
class Cluster:
    """Pods and workloads as an API server would list and delete them."""

    pods: list[Object] = field(default_factory=list)
    workloads: dict[str, list[Object]] = field(default_factory=dict)
    graces: list[int | None] = field(default_factory=list)

    def list(self, kind: Kind, namespace: str | None = None, labels: str = "") -> list[Object]:
        if kind.name != "Pod":
            return self.workloads.get(kind.name, [])
        wanted = dict(label.split("=") for label in labels.split(",") if label)
        return [
            pod
            for pod in self.pods
            if namespace in (None, pod["metadata"]["namespace"])
            and wanted.items() <= pod["metadata"]["labels"].items()
        ]

    def delete(self, kind: Kind, name: str, namespace: str, *, grace: int | None) -> bool:
        self.graces.append(grace)
        self.pods = [one for one in self.pods if one["metadata"]["name"] != name]
        return True


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    agent = {"app": "spire-agent"}
    found = Cluster(
        [
            pod("spire-server-0", "spire", {"app": "spire-server"}),
            pod("spire-agent-a", "spire", agent),
            pod("spire-agent-b", "spire", agent),
        ]
    )
    monkeypatch.setattr(actions, "kube_of", lambda configuration: found)
    return found


SERVER = {"namespace": "spire", "selector": "app=spire-server"}
AGENTS = {"namespace": "spire", "selector": "app=spire-agent"}
NOBODY = {"namespace": "spire", "selector": "app=nobody"}


def test_kill_pods_deletes_all_that_match_with_no_grace(cluster: Cluster) -> None:
    killed = actions.kill_pods(AGENTS["namespace"], AGENTS["selector"])
    assert killed == ["spire/spire-agent-a", "spire/spire-agent-b"]
    assert [one["metadata"]["name"] for one in cluster.pods] == ["spire-server-0"]
    assert cluster.graces == [0, 0]


def test_kill_everything_names_all_that_it_touched(cluster: Cluster) -> None:
    killed = actions.kill_everything([SERVER, AGENTS])
    assert killed == ["spire/spire-agent-a", "spire/spire-agent-b", "spire/spire-server-0"]
    assert cluster.pods == []


def test_nothing_to_touch_is_an_error(cluster: Cluster) -> None:
    with pytest.raises(actions.NothingToTouchError) as caught:
        actions.kill_pods(NOBODY["namespace"], NOBODY["selector"])
    assert str(caught.value) == "no pod app=nobody in spire"
    with pytest.raises(actions.NothingToTouchError):
        actions.kill_everything([])


def test_one_target_that_is_not_there_saves_all_others(cluster: Cluster) -> None:
    with pytest.raises(actions.NothingToTouchError) as caught:
        actions.kill_everything([SERVER, NOBODY, AGENTS])
    assert str(caught.value) == "no pod app=nobody in spire"
    assert len(cluster.pods) == 3


def test_ready_counts_pods_that_exist(cluster: Cluster) -> None:
    cluster.workloads = {
        "StatefulSet": [workload("spire-server", replicas=1)],
        "DaemonSet": [{**workload("spire-agent"), "status": {"desiredNumberScheduled": 2}}],
    }
    kube: Any = cluster
    assert probes.not_ready(kube, ["spire"]) == []
    cluster.pods[1:] = [pod("spire-agent-c", "spire", {"app": "spire-agent"}, ready=False)]
    assert probes.not_ready(kube, ["spire"]) == ["spire/spire-agent: 0 of 2"]


def test_a_part_that_is_scaled_down_or_absent_is_not_ready(cluster: Cluster) -> None:
    kube: Any = cluster
    assert probes.not_ready(kube, ["spire"]) == ["spire: no workload"]
    cluster.workloads = {"Deployment": [workload("istiod", replicas=0)]}
    assert probes.not_ready(kube, ["spire"]) == ["spire/istiod: 0 of 1"]


def test_pods_of_another_namespace_do_not_count(cluster: Cluster) -> None:
    cluster.workloads = {"StatefulSet": [workload("spire-server", replicas=1)]}
    cluster.pods[0]["metadata"]["namespace"] = "bookinfo"
    kube: Any = cluster
    assert probes.not_ready(kube, ["spire"]) == ["spire/spire-server: 0 of 1"]


@pytest.mark.parametrize("absent", binding.KEYS)
def test_an_action_never_guesses_its_cluster(absent: str) -> None:
    configuration = binding.configuration_of(KUBE)
    assert binding.kube_of(configuration) == KUBE
    del configuration[absent]
    with pytest.raises(UsageError) as caught:
        binding.kube_of(configuration)
    assert str(caught.value) == f"the experiment names no cluster: set MESHPROOF_{absent.upper()}"
    with pytest.raises(UsageError):
        binding.kube_of(None)


COUNTED = """\
2030-01-01T12:00:00Z\twarn\tOS CA Cert could not be found for agent
outbound|9080||details.bookinfo.svc.cluster.local::default_priority::max_connections::4294967295
outbound|9080||details.bookinfo.svc.cluster.local::10.0.0.7:9080::cx_total::7
outbound|9080||details.bookinfo.svc.cluster.local::10.0.0.7:9080::rq_total::8
outbound|9080|v1|ratings.bookinfo.svc.cluster.local::[fd00::7]:9080::cx_total::1
outbound|9080|v1|ratings.bookinfo.svc.cluster.local::[fd00::7]:9080::rq_total::2
outbound|9080|v1|ratings.bookinfo.svc.cluster.local::[fd00::7]:9080::rq_error::0
inbound|9080||::10.0.0.8:9080::cx_total::9
prometheus_stats::127.0.0.1:15000::cx_total::9
"""


def test_counters_are_read_by_endpoint() -> None:
    assert handshakes.parse(COUNTED) == {
        ("details", "10.0.0.7:9080"): Counters(7, 8),
        ("ratings", "[fd00::7]:9080"): Counters(1, 2),
    }


def entry(**fields: object) -> str:
    return json.dumps({"ts": 1893499203.0, "level": "info", **fields})


RUN = [
    entry(msg="Starting", command="fortio"),
    entry(msg="Starting http test", run=1),
    "Starting at 20 qps with 4 thread(s) [gomax 2] : exactly 18000, 4500 calls each",
    "Ended after 1s : 20 calls. qps=20",
    entry(msg="Run ended", run=1, elapsed=1_000_000_000, calls=20),
    "Code 200 : 20 (100.0 %)",
    entry(msg="Starting http test", run=2),
    entry(msg="T000 ended after 2s : 16 calls. qps=2.5"),
    "Ended after 2.5s : 62 calls. qps=10",
    entry(msg="Run ended", run=2, elapsed=2_500_000_000, calls=62),
    "Code  -1 : 2 (3.2 %)",
    "Code 200 : 60 (96.8 %)",
    "Response Header Sizes : count 62 avg 124",
    "Starting at 10 qps with 1 thread(s) [gomax 2] : exactly 9000, 9000 calls each",
    "Ended after 1m0.123456789s : 10 calls. qps=10",
    entry(msg="Run ended", run=3, elapsed=60_123_456_789, calls=10),
    "Error cases : count 3 avg 0.001",
    "Jitter: false",
    "Ping SERVING : 7",
    "Ping ERROR : 3",
]


def test_the_count_of_a_load_is_read_from_the_servers_log() -> None:
    found = load.parse(RUN, 2)
    assert found == load.LoadResult(
        sent=62,
        codes={-1: 2, 200: 60},
        start=datetime(2030, 1, 1, 12, 0, 0, 500_000, tzinfo=UTC),
        end=datetime(2030, 1, 1, 12, 0, 3, tzinfo=UTC),
    )
    assert found.failed == 2
    first = load.parse(RUN, 1)
    assert first
    assert first.sent == 20


def test_pings_are_counted_as_answered_or_not() -> None:
    found = load.parse(RUN, 3)
    assert found
    assert (found.sent, found.codes, found.failed) == (10, {200: 7, -1: 3}, 3)


def test_a_load_that_was_ended_before_its_first_request_sent_none() -> None:
    found = load.parse([entry(msg="Run ended", run=6, elapsed=1_000_000, calls=0)], 6)
    assert found
    assert (found.sent, found.codes) == (0, {})


def test_the_codes_of_another_run_are_not_taken() -> None:
    other = entry(msg="Run ended", run=4, elapsed=1_000_000_000, calls=20)
    unsaid = entry(msg="Run ended", run=5, elapsed=2_000_000_000, calls=20)
    lines = [other, unsaid, "Ended after 2s : 20 calls. qps=10", "Code 200 : 20 (100.0 %)"]
    assert load.parse(lines, 4) is None
    assert load.parse(lines, 5)


def test_the_two_streams_of_the_server_may_come_in_any_order() -> None:
    text = [line for line in RUN if not line.startswith("{")]
    assert load.parse([*text, *(line for line in RUN if line.startswith("{"))], 2) == load.parse(RUN, 2)


@pytest.mark.parametrize("length", [0, 7, 10, 11], ids=["nothing", "running", "ended", "half"])
def test_a_load_that_is_not_summed_up_yet_has_no_count(length: int) -> None:
    assert load.parse(RUN[:length], 2) is None


def experiment(func: str) -> dict[str, Any]:
    provider = {"type": "python", "module": stand_ins.__name__, "func": func}
    healing = {**provider, "func": "touch", "arguments": {"what": ["x"]}}
    return {
        "title": "t",
        "description": "d",
        "configuration": {"kubeconfig": {"type": "env", "key": "MESHPROOF_ABSENT"}},
        "method": [{"type": "action", "name": func, "provider": provider}],
        "rollbacks": [{"type": "action", "name": "heal", "provider": healing}],
    }


CONFIGURATION = {"kubeconfig": "/a/kubeconfig", "trust_domain": "example.org"}


def test_the_runner_binds_the_cluster_and_saves_the_journal(tmp_path: Path) -> None:
    said: list[str] = []
    saved = tmp_path / "journal.json"
    journal = runner.run_experiment(experiment("fail"), CONFIGURATION, saved, say=said.append)
    assert json.loads(saved.read_text()) == json.loads(json.dumps(journal))
    assert journal["experiment"]["configuration"] == CONFIGURATION
    assert [run["status"] for run in journal["rollbacks"]] == ["succeeded"]
    assert [line.partition(" in ")[0] for line in said] == [
        "action fail: failed",
        "action heal: succeeded",
    ]


def test_an_interrupt_is_given_back_after_the_rollbacks(tmp_path: Path) -> None:
    saved = tmp_path / "journal.json"
    with pytest.raises(KeyboardInterrupt):
        runner.run_experiment(experiment("interrupt"), CONFIGURATION, saved)
    journal = json.loads(saved.read_text())
    assert [run["status"] for run in journal["rollbacks"]] == ["succeeded"]
