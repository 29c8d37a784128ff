"""What the three loads rest on, against answers as the real parts give them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.chaos import history, traffic
from fixtures.chaos.handshakes import parse_handshakes
from fixtures.chaos.history import Operation
from fixtures.chaos.load_checks import Handshakes, Seen, Step
from fixtures.chaos.traffic import PLANS, Observed, retried

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOST = "old-guard.istiod-issued.svc.cluster.local"
OBJECTS: list[dict[str, Any]] = [
    one for path in sorted(traffic.MANIFESTS.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text())
]

STATS = """2030-01-01T12:00:00Z\twarn\tOS CA Cert could not be found for agent
listener.0.0.0.0_15006.ssl.handshake: 1301
listener.0.0.0.0_15006.ssl.session_reused: 49
"""


def kinds(name: str) -> list[dict[str, Any]]:
    return [one for one in OBJECTS if one["kind"] == name]


def dump(policy: object) -> str:
    route = {"route": {"cluster": f"outbound|9080||{HOST}", "retry_policy": policy}}
    virtual_host = {"name": f"{HOST}:9080", "routes": [route]}
    configs = [{"route_config": {"name": "9080", "virtual_hosts": [virtual_host]}}, {"route_config": {}}]
    return "2030-01-01T12:00:00Z\twarn\tno CA\n" + json.dumps({"configs": configs})


def test_handshakes_are_read() -> None:
    assert parse_handshakes(STATS) == Handshakes(total=1301, resumed=49)


@pytest.mark.parametrize("text", ["", STATS.splitlines()[1]], ids=["nothing", "half"])
def test_a_proxy_that_does_not_count_is_not_taken_for_one_that_counts_none(text: str) -> None:
    assert parse_handshakes(text) is None


def test_a_route_is_retried_unless_it_is_there_without_a_policy() -> None:
    assert retried(dump(None), [HOST]) == []
    assert retried(dump({"num_retries": 2}), [HOST]) == [HOST]
    assert retried(dump(None), ["details.bookinfo.svc.cluster.local"]) == [
        "details.bookinfo.svc.cluster.local"
    ]


def test_no_load_is_retried() -> None:
    routes = [one["spec"] for one in kinds("VirtualService")]

    assert {host for spec in routes for host in spec["hosts"]} == {plan.host for plan in PLANS}
    assert all(http["retries"] == {"attempts": 0} for spec in routes for http in spec["http"])


def test_only_the_load_of_handshakes_has_a_connection_per_request() -> None:
    (rule,) = kinds("DestinationRule")

    assert rule["spec"]["host"] == PLANS[0].host
    assert rule["spec"]["trafficPolicy"]["connectionPool"]["http"]["maxRequestsPerConnection"] == 1


def test_the_old_server_is_istiods_and_resumes_no_session() -> None:
    (deployment,) = kinds("Deployment")
    (patch,) = kinds("EnvoyFilter")[0]["spec"]["configPatches"]
    pod = deployment["spec"]["template"]["metadata"]
    context = patch["patch"]["value"]["transport_socket"]["typed_config"]

    assert pod["annotations"]["inject.istio.io/templates"] == "sidecar"
    assert "spiffe.io/spire-managed-identity" not in pod["labels"]
    assert kinds("EnvoyFilter")[0]["spec"]["workloadSelector"]["labels"].items() <= pod["labels"].items()
    assert context["disable_stateless_session_resumption"] is True
    assert context["disable_stateful_session_resumption"] is True


def test_every_peer_has_the_identity_of_its_account() -> None:
    (account,) = kinds("ServiceAccount")
    own = f"spiffe://example.org/ns/{account['metadata']['namespace']}/sa/{account['metadata']['name']}"

    assert [plan.peer for plan in PLANS] == [own, "spiffe://example.org/ns/bookinfo/sa/bookinfo-details", own]
    assert len({plan.hop for plan in PLANS}) == len(PLANS)


def test_what_was_observed_is_saved(tmp_path: Path) -> None:
    one = Operation(NOON, "client", "old-guard", "ok", 200, "", "", 1, "spiffe://x", "5e", "r1")
    end = NOON + timedelta(seconds=10)
    seen = Seen("handshakes", PLANS[0].hop, PLANS[0].peer, NOON, end, {200: 1}, (one,), ({}, {}))
    observed = Observed((seen,), (Step("grow", NOON, end),))

    observed.save(tmp_path / "rotation")

    saved = {path.name: path.read_text() for path in (tmp_path / "rotation").iterdir()}
    assert history.read(tmp_path / "rotation" / "history.jsonl") == (one,)
    assert [step["name"] for step in json.loads(saved["steps.json"])] == ["grow"]
    assert json.loads(saved["loads.json"])["handshakes"]["codes"] == {"200": 1}
    assert observed.figures() == {"handshakes": {"requests": 1, "lost": 0, "retries": 0, "perSecond": 0.1}}
