"""The overlay's pieces: each whole, each with its reason, and named for what the stack really runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.cluster import kube as kube_module
from fixtures.cluster.kube import Kube
from fixtures.cluster.wait import WaitTimeoutError
from fixtures.probe.layout import CACERTS, CERT_MANAGER, ISTIO, ROOT_SECRET, SPIRE
from fixtures.stack import overlay as module
from fixtures.stack.manifests import MANIFESTS
from fixtures.stack.overlay import CERTIFICATES, NODES, REQUESTS, await_in_force, in_force
from suites.selftest.cluster.commands import Commands

FOLDER = MANIFESTS / "hardening"
PIECES = {path.stem: path for path in sorted(FOLDER.glob("*.yaml")) if path.stem != "kustomization"}
ROOT = Path(__file__).parents[3]
CREATE = "kubectl --kubeconfig=/k --context=kind-mesh create --dry-run=server -f -"


def objects(name: str) -> list[Any]:
    return list(yaml.safe_load_all(PIECES[name].read_text()))


def test_pieces_are_those_that_are_looked_for() -> None:
    assert set(PIECES) == {REQUESTS, CERTIFICATES, NODES}
    assert yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"] == [
        f"{name}.yaml" for name in (REQUESTS, CERTIFICATES, NODES)
    ]


@pytest.mark.parametrize("name", PIECES)
def test_piece_is_a_policy_and_a_binding_that_denies(name: str) -> None:
    policy, binding = objects(name)

    assert policy["metadata"]["name"] == binding["metadata"]["name"] == binding["spec"]["policyName"] == name
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert binding["spec"]["validationActions"] == ["Deny"]
    assert all(one["message"] for one in policy["spec"]["validations"])


@pytest.mark.parametrize("name", PIECES)
def test_piece_names_the_clauses_that_need_it(name: str) -> None:
    named = re.findall(r"issuance/[\w-]+", PIECES[name].read_text())
    source = "".join(path.read_text() for path in (ROOT / "suites" / "issuance").glob("test_*.py"))

    assert named
    assert all(f'id="{clause}"' in source for clause in named)


def test_policies_are_about_the_issuer_and_the_accounts_of_the_stack() -> None:
    requests, certificates = PIECES[REQUESTS].read_text(), PIECES[CERTIFICATES].read_text()

    assert all(f"issuerRef.name == '{ROOT_SECRET}'" in text for text in (requests, certificates))
    assert f"'system:serviceaccount:{SPIRE}:spire-server'" in requests
    assert f"'system:serviceaccount:{CERT_MANAGER}:cert-manager'" in requests
    assert f"object.metadata.name == '{CACERTS}'" in certificates
    assert all(f"request.namespace == '{ISTIO}'" in text for text in (requests, certificates))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    table = Commands()
    monkeypatch.setattr(kube_module, "run", table)
    return table


def test_piece_that_denies_is_in_force(commands: Commands) -> None:
    commands.fails(CREATE, "pods is forbidden: ValidatingAdmissionPolicy 'no-way-into-nodes' with binding")

    assert in_force(Kube(Path("/k"), "kind-mesh", Path("kubectl"))) == {NODES}
    assert len(commands.calls) == len(PIECES)


@pytest.mark.parametrize("refusal", ["", 'failed calling webhook "webhook.cert-manager.io"'])
def test_piece_is_not_in_force_where_nothing_or_something_else_refuses(
    refusal: str, commands: Commands
) -> None:
    if refusal:
        commands.fails(CREATE, refusal)
    else:
        commands.prints(CREATE)

    assert in_force(Kube(Path("/k"), "kind-mesh", Path("kubectl"))) == set()


def test_waiting_for_a_piece_tells_what_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHPROOF_TIMEOUT_SCALE", "0.001")
    monkeypatch.setattr(module, "in_force", lambda _: {NODES})

    with pytest.raises(WaitTimeoutError, match=f"in force of the overlay: nothing; last seen: .*{NODES}"):
        await_in_force(Kube(Path("/k"), "kind-mesh", Path("kubectl")), ())
