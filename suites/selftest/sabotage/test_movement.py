from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fixtures.cluster.kube import Object
from fixtures.cluster.run import run
from fixtures.sabotage.movement import (
    SWAPPED,
    TURN_SERIALS,
    beside_a_stale_metric,
    passing_over,
    without_verb,
)

ISTIOD = {
    "name": "discovery",
    "image": "pilot",
    "args": ["discovery", "--monitoringAddr=:15014", "--domain", "cluster.local"],
}


def test_something_else_answers_where_istiods_metrics_were() -> None:
    istiod, other = beside_a_stale_metric([ISTIOD], "expiry 17.0", "proxy")

    assert istiod["args"] == ["discovery", "--monitoringAddr=:15099", "--domain", "cluster.local"]
    assert ISTIOD["args"][1] == "--monitoringAddr=:15014"
    (listener,) = json.loads(other["command"][-1])["static_resources"]["listeners"]
    assert listener["address"]["socket_address"]["port_value"] == 15014
    assert "expiry 17.0\\n" in json.dumps(listener)


@pytest.mark.parametrize("selector", [{}, {"objectSelector": {"matchExpressions": [{"key": "other"}]}}])
def test_every_webhook_passes_over_an_application(selector: Object) -> None:
    before: list[Object] = [{"name": "one", **selector}, {"name": "two"}]

    hooks = passing_over(before, "newcomer")

    wanted = {"key": "app", "operator": "NotIn", "values": ["newcomer"]}
    assert [hook["objectSelector"]["matchExpressions"][-1] for hook in hooks] == [wanted, wanted]
    assert before == [{"name": "one", **selector}, {"name": "two"}]


def test_an_istiod_beside_is_given_the_other_flag_once() -> None:
    flag = "AUTO_RELOAD_PLUGIN_CERTS"
    container = {"image": "new", "env": [{"name": flag, "value": "true"}, {"name": "REVISION", "value": "x"}]}

    changed = SWAPPED["istio-1-16-true"](container, "old")

    assert changed["image"] == "new"
    assert [one["value"] for one in changed["env"] if one["name"] == flag] == ["false"]
    assert {"name": "REVISION", "value": "x"} in changed["env"]


def test_an_istiod_beside_is_given_the_other_version() -> None:
    changed = SWAPPED["current-false"]({"image": "new", "env": []}, "old")

    assert changed == {"image": "old", "env": [{"name": "AUTO_RELOAD_PLUGIN_CERTS", "value": "false"}]}


def test_a_role_loses_one_verb_on_one_resource() -> None:
    other = {"resources": ["secrets"], "verbs": ["create"]}
    rule = {"resources": ["certificates", "certificaterequests"], "verbs": ["create", "update"]}

    left = without_verb([other, rule], "certificaterequests", "create")

    assert left == [other, {**rule, "verbs": ["update"]}]
    with pytest.raises(LookupError, match="create on certificaterequests"):
        without_verb(left, "certificaterequests", "create")


@pytest.mark.skipif(not shutil.which("perl"), reason="no perl")
def test_serials_in_a_part_of_a_log_are_turned_around_and_back(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_text("before, SN: 12\nSubject: a, SN: 1f, NotBefore\nSN: 56\n")
    part = (str(len("before, SN: 12\n")), str(log.stat().st_size - len("SN: 56\n")))
    original, inode = log.read_text(), log.stat().st_ino

    run(["perl", "-e", TURN_SERIALS, str(log), *part], timeout=10)

    assert log.read_text() == "before, SN: 12\nSubject: a, SN: f1, NotBefore\nSN: 56\n"
    assert log.stat().st_ino == inode
    run(["perl", "-e", TURN_SERIALS, str(log), *part], timeout=10)
    assert log.read_text() == original
