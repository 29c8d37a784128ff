from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures import setup
from fixtures.build import builder
from fixtures.cluster import engine, kube
from fixtures.cluster.failures import BuildError, ClusterError, SetupError, UsageError
from fixtures.cluster.kind import Home
from fixtures.cluster.progress import Progress
from fixtures.setup import (
    Options,
    check_options,
    choose_images,
    components,
    foreign_mesh,
    home_of,
    make_command,
    raised_mesh,
)
from fixtures.stack.manifests import MANIFESTS, load_pace
from fixtures.stack.stackfile import Stack, load_stack
from suites.selftest.cluster.commands import DOCKER, PRIVATE, Commands

CURRENT = MANIFESTS / "stacks" / "current.toml"
DEFAULTS = Options()
PAUSED = "docker ps --no-trunc -q --filter label=io.x-k8s.kind.cluster=meshproof --filter status=paused"
NODES = "docker ps -a --no-trunc -q --filter label=io.x-k8s.kind.cluster=meshproof"
LISTING = "docker images --format {{.Repository}}:{{.Tag}}"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Go is there; the engine holds no images and one node of a cluster `meshproof`."""
    table = Commands()
    for module in (builder, engine, kube):
        monkeypatch.setattr(module, "run", table)
    table.prints("go env GOVERSION", "go1.26.1\n")
    table.prints(LISTING)
    table.prints(NODES, "a1\n")
    table.prints("docker inspect a1", json.dumps([{"Id": "a1", "Created": "2026-01-02T10:00:00Z"}]))
    table.prints(PAUSED)
    table.prints("docker rm -f -v a1")
    return table


@pytest.fixture
def home(tmp_path: Path) -> Home:
    folder = tmp_path / "meshproof"
    folder.mkdir()
    return Home(folder)


@pytest.fixture
def stack() -> Stack:
    return load_stack(CURRENT)


def mark(home: Home, **content: object) -> None:
    home.owner.write_text(json.dumps(content))


def was_deleted(commands: Commands) -> bool:
    return "docker rm -f -v a1" in commands.calls


def check_leftovers(options: Options, home: Home) -> None:
    setup._check_leftovers(options, DOCKER, home, Progress(lambda _: None))


def test_defaults_are_right() -> None:
    stack, pace = check_options(DEFAULTS)

    assert (stack.name, pace.name) == ("current", "fast")


def test_stack_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(CURRENT.read_text())

    assert check_options(replace(DEFAULTS, stack=str(path)))[0].name == "mine"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (replace(DEFAULTS, name="My_Mesh"), "--cluster-name 'My_Mesh': lower-case letters"),
        (replace(DEFAULTS, nodes=0), "--nodes 0: at least 1"),
        (replace(DEFAULTS, kube_context="x", reuse=True), "it is neither kept nor reused"),
        (replace(DEFAULTS, kube_context="x", keep=True), "it is neither kept nor reused"),
        (replace(DEFAULTS, kubeconfig="f"), "--kubeconfig goes with --kube-context"),
        (replace(DEFAULTS, stack="curent"), "--stack curent: no such file; known stacks: "),
        (replace(DEFAULTS, stack="none.toml"), "--stack none.toml: no such file; known stacks: "),
    ],
    ids=["name", "nodes", "context-reuse", "context-keep", "kubeconfig", "stack", "stack-file"],
)
def test_wrong_options_are_refused_with_what_would_be_right(options: Options, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_options(options)

    assert reason in str(caught.value)


def test_unknown_stack_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"known stacks: .*\bcurrent\b"):
        check_options(replace(DEFAULTS, stack="curent"))


def test_wrong_options_are_refused_before_anything_is_done(commands: Commands) -> None:
    with pytest.raises(UsageError), raised_mesh(replace(DEFAULTS, nodes=0), Progress(print)):
        pass

    assert commands.calls == []


def test_folder_of_a_cluster_is_below_the_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert home_of("mesh").kubeconfig == tmp_path / "meshproof" / "clusters" / "mesh" / "kubeconfig"


def test_where_nothing_is_left_nothing_is_deleted(commands: Commands, home: Home) -> None:
    commands.prints(NODES)

    check_leftovers(DEFAULTS, home)

    assert commands.calls == [NODES]


@pytest.mark.parametrize("options", [DEFAULTS, replace(DEFAULTS, reuse=True)], ids=["plain", "reuse"])
def test_somebody_elses_cluster_is_left_alone(options: Options, commands: Commands, home: Home) -> None:
    with pytest.raises(ClusterError, match=r"did not make: it is left alone;(?s:.*)--cluster-name"):
        check_leftovers(options, home)

    assert not was_deleted(commands)


def test_what_a_killed_run_left_is_deleted(commands: Commands, home: Home) -> None:
    mark(home, creating="2026-01-02T09:59:59+00:00", nodes=["a1"])

    check_leftovers(DEFAULTS, home)

    assert was_deleted(commands)
    assert home.folder.is_dir()
    assert not home.owner.exists()


def test_half_made_cluster_is_deleted_even_where_it_is_to_be_reused(commands: Commands, home: Home) -> None:
    mark(home, creating="2026-01-02T09:59:59+00:00")

    check_leftovers(replace(DEFAULTS, reuse=True), home)

    assert was_deleted(commands)


def test_kept_cluster_is_left_alone_and_both_ways_out_are_named(commands: Commands, home: Home) -> None:
    mark(home, nodes=["a1"], kept=True)

    with pytest.raises(ClusterError, match=r"--reuse-cluster, or remove it with `make down`"):
        check_leftovers(DEFAULTS, home)

    assert not was_deleted(commands)


def test_cluster_of_another_name_is_removed_by_that_name() -> None:
    assert make_command("down", "trial") == 'make down ARGS="--cluster-name trial"'


@pytest.mark.parametrize("kept", [True, False])
def test_cluster_of_ours_is_reused_on_demand(kept: bool, commands: Commands, home: Home) -> None:
    mark(home, nodes=["a1"], kept=kept)

    check_leftovers(replace(DEFAULTS, reuse=True), home)

    assert not was_deleted(commands)


def test_note_that_it_is_kept_leaves_the_rest_of_the_mark(home: Home) -> None:
    mark(home, nodes=["a1"])

    setup._note_kept(home)

    assert json.loads(home.owner.read_text()) == {"nodes": ["a1"], "kept": True}


def test_chosen_way_of_getting_images_is_not_questioned(commands: Commands, stack: Stack) -> None:
    assert choose_images(replace(DEFAULTS, images="pull"), stack, DOCKER, Progress(print)) == "pull"
    assert choose_images(replace(DEFAULTS, images="build"), stack, DOCKER, Progress(print)) == "build"
    assert commands.calls == []


def test_built_images_are_used_without_asking_a_registry(commands: Commands, stack: Stack) -> None:
    commands.prints(LISTING, "\n".join(builder.image_tags(components(), stack.preload()).values()))

    assert choose_images(DEFAULTS, stack, DOCKER, Progress(print)) == "build"


def test_images_are_pulled_where_a_registry_answers(commands: Commands, stack: Stack) -> None:
    commands.prints(f"docker pull -q {stack.image('node', 'pull')}", "sha256:1")

    assert choose_images(DEFAULTS, stack, DOCKER, Progress(print)) == "pull"


def test_images_are_built_where_no_registry_answers(commands: Commands, stack: Stack) -> None:
    commands.fails(f"docker pull -q {stack.image('node', 'pull')}", "first\nno route to host")
    lines: list[str] = []

    assert choose_images(DEFAULTS, stack, DOCKER, Progress(lines.append)) == "build"
    assert "no registry answers" in lines[-1]
    assert "(no route to host): building" in lines[-1]


def test_without_registry_and_go_there_is_no_way(commands: Commands, stack: Stack) -> None:
    commands.fails(f"docker pull -q {stack.image('node', 'pull')}")
    commands.fails("go env GOVERSION", "not found")

    with pytest.raises(BuildError, match="needs Go"):
        choose_images(DEFAULTS, stack, DOCKER, Progress(print))


def test_images_are_pulled_without_go(commands: Commands, stack: Stack) -> None:
    commands.fails("go env GOVERSION", "not found")
    commands.prints(f"docker pull -q {stack.image('node', 'pull')}", "sha256:1")

    assert choose_images(DEFAULTS, stack, PRIVATE, Progress(print)) == "pull"


def observe(context: str, stack: Stack, kubeconfig: Path | None, kubectl: str = "kubectl") -> None:
    file = str(kubeconfig or "")
    options = replace(DEFAULTS, kube_context=context, kubeconfig=file, kubectl=kubectl)
    foreign_mesh(options, stack, load_pace("fast"), Progress(print))


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text("contexts: [{name: kind-a, context: {cluster: c}}, {name: b, context: {cluster: c}}]")
    return path


def test_unknown_context_is_refused_with_the_known_ones(kubeconfig: Path, stack: Stack) -> None:
    with pytest.raises(UsageError) as caught:
        observe("kind-other", stack, kubeconfig)

    assert str(caught.value) == f"--kube-context 'kind-other' is not in {kubeconfig}; it has: b, kind-a"


def test_kubeconfig_of_the_environment_is_read_where_none_is_named(
    kubeconfig: Path, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{kubeconfig}:{kubeconfig.parent}/second")

    with pytest.raises(UsageError, match=f"is not in {kubeconfig}; it has: b, kind-a"):
        observe("kind-other", stack, None)


def test_foreign_cluster_that_does_not_answer_is_an_error(
    kubeconfig: Path, stack: Stack, commands: Commands
) -> None:
    words = f"kubectl --kubeconfig={kubeconfig} --context=b get --raw /readyz --request-timeout=10s"
    commands.fails(words, "refused")

    with pytest.raises(ClusterError, match="context 'b' does not answer"):
        observe("b", stack, kubeconfig)


def test_without_kubectl_the_error_names_the_option(
    kubeconfig: Path, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, match="--kind-kubectl-bin"):
        observe("b", stack, kubeconfig, kubectl="")


def test_every_failure_of_the_set_up_has_its_own_exit_code() -> None:
    codes = [SetupError.exit_code, *(kind.exit_code for kind in SetupError.__subclasses__())]

    assert len(codes) > 5
    assert len(set(codes)) == len(codes)
