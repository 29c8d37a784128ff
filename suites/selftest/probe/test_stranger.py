"""What an attempt of somebody else's comes to: forbidden, done, or not clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.cluster import kube as module
from fixtures.cluster.kube import Kube
from fixtures.probe.rogue_agent import _REFUSED
from fixtures.probe.stranger import Stranger, UnclearAnswerError
from suites.selftest.cluster.commands import Commands

KUBECTL = "kubectl --kubeconfig=/k --context=kind-mesh --as=stranger"
OWN = Kube(Path("/k"), "kind-mesh", Path("kubectl"))
HIS = Stranger(OWN, Kube(Path("/k"), "kind-mesh", Path("kubectl"), user="stranger"), "theirs")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    table = Commands()
    monkeypatch.setattr(module, "run", table)
    return table


@pytest.mark.parametrize(
    "answer",
    [
        'Error from server (Forbidden): secrets "cacerts" is forbidden: User "stranger" cannot get resource',
        'error: failed to create token: serviceaccounts "istiod" is forbidden: User "stranger" cannot create',
    ],
)
def test_what_is_forbidden_is_told_in_the_words_of_the_api_server(answer: str, commands: Commands) -> None:
    commands.fails(f"{KUBECTL} get secret", f"{answer}\n")

    assert HIS.refusal("get", "secret") == answer


def test_what_was_done_is_not_told(commands: Commands) -> None:
    commands.prints(f"{KUBECTL} create token istiod", "eyJhbGciOi")

    assert HIS.refusal("create", "token", "istiod") == ""


@pytest.mark.parametrize("answer", ["connection refused", 'secrets "none" not found', ""])
def test_what_failed_otherwise_proves_nothing(answer: str, commands: Commands) -> None:
    commands.fails(f"{KUBECTL} get secret", answer)

    with pytest.raises(UnclearAnswerError, match=f"kubectl get secret: {answer}"):
        HIS.refusal("get", "secret")


def test_object_is_created_in_his_name(commands: Commands) -> None:
    commands.prints(f"{KUBECTL} create -f -")

    assert HIS.create({"kind": "Certificate"}) == ""
    assert commands.stdin == ['{"kind": "Certificate"}']


def test_what_the_librarys_websocket_cannot_ask_in_his_name_is_not_asked() -> None:
    with pytest.raises(NotImplementedError):
        HIS.kube.exec("theirs", "pod", "app", "ls")
    with pytest.raises(NotImplementedError):
        HIS.kube.fetch("theirs", "pod", 15000, "/certs")


def test_refusal_of_an_agent_is_read_from_its_log() -> None:
    line = (
        'level=error msg="Agent crashed" error="failed to receive attestation response:'
        " rpc error: code = PermissionDenied desc = nodeattestor(k8s_psat):"
        ' \\"theirs:spire-agent\\" is not an allowed service account" version=1.13.3'
    )

    found = _REFUSED.search(line)

    assert found
    assert found[0].endswith('\\"theirs:spire-agent\\" is not an allowed service account')
