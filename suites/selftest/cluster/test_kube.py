from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.cluster import kube as module
from fixtures.cluster.failures import ClusterError, UsageError
from fixtures.cluster.kube import Kube, check_answers, contexts
from suites.selftest.cluster.commands import Commands

GOOD = """
apiVersion: v1
kind: Config
current-context: two
clusters:
- {name: east, cluster: {server: "https://east:6443"}}
- {name: west, cluster: {server: "https://west:6443"}}
contexts:
- {name: one, context: {cluster: east, user: me}}
- {name: two, context: {cluster: west, user: me}}
- {name: lost, context: {cluster: gone, user: me}}
"""
KUBECTL = "kubectl --kubeconfig=/k --context=kind-mesh"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    table = Commands()
    monkeypatch.setattr(module, "run", table)
    return table


@pytest.fixture
def kube() -> Kube:
    return Kube(Path("/k"), "kind-mesh", Path("kubectl"))


def test_contexts_are_given_with_their_servers(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(GOOD)

    assert contexts(file) == {"one": "https://east:6443", "two": "https://west:6443", "lost": ""}


@pytest.mark.parametrize("text", ["", "{}", "clusters:\ncontexts:\n"])
def test_kubeconfig_without_contexts_has_none(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(text)

    assert contexts(file) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"just a text",
        b"[a list]",
        b"contexts: [{name: one}]",
        b"contexts: [one]",
        b"contexts: 5",
        b"clusters: [{name: east}]",
        b"\xff\xfe",
    ],
)
def test_broken_kubeconfig_is_an_error_that_names_the_file(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)

    with pytest.raises(UsageError, match=f"kubeconfig {file} cannot be read"):
        contexts(file)


def test_kubeconfig_that_is_not_there_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"kubeconfig {tmp_path}/none cannot be read"):
        contexts(tmp_path / "none")


def test_kubectl_always_gets_the_named_kubeconfig_and_context(commands: Commands, kube: Kube) -> None:
    commands.prints(f"{KUBECTL} get pods", "pods")

    assert kube.kubectl_run("get", "pods") == "pods"


def test_apply_is_server_side_and_under_our_own_name(commands: Commands, kube: Kube) -> None:
    commands.prints(f"{KUBECTL} apply --server-side --force-conflicts --field-manager=meshproof -f -")

    kube.apply("kind: Pod")

    assert commands.stdin == ["kind: Pod"]


def test_cluster_that_does_not_answer_is_an_error_that_names_the_context(
    commands: Commands, kube: Kube
) -> None:
    commands.fails(f"{KUBECTL} get --raw /readyz --request-timeout=10s", "connection refused")

    with pytest.raises(ClusterError, match=r"context 'kind-mesh' does not answer(?s:.*)refused"):
        check_answers(kube)
