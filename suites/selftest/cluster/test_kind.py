from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from fixtures.cluster import engine
from fixtures.cluster.failures import ClusterError, UsageError
from fixtures.cluster.kind import (
    ClusterSpec,
    Home,
    check_name,
    cluster_lock,
    delete_cluster,
    existing_nodes,
    is_ours,
)
from fixtures.cluster.progress import Progress
from fixtures.cluster.run import background
from suites.selftest.cluster.commands import DOCKER, PRIVATE, Commands

LISTING = "docker ps -a --no-trunc -q --filter label=io.x-k8s.kind.cluster=mesh"
PAUSED = "docker ps --no-trunc -q --filter label=io.x-k8s.kind.cluster=mesh --filter status=paused"
NODES = {"a1": "2026-01-02T10:00:05.123456789Z", "b2": "2026-01-02T10:00:06.2Z"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    folder = tmp_path / "mesh"
    folder.mkdir()
    return Home(folder)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Two nodes of a kind cluster `mesh` run."""
    table = Commands()
    monkeypatch.setattr(engine, "run", table)
    table.prints(LISTING, "a1\nb2\n")
    answers = [{"Id": name, "Created": created} for name, created in NODES.items()]
    table.prints("docker inspect a1 b2", json.dumps(answers))
    return table


def mark(home: Home, **content: object) -> None:
    home.owner.write_text(json.dumps(content))


def config(nodes: int = 2) -> dict[str, object]:
    spec = ClusterSpec("mesh", nodes, "meshproof/node:1", {"syncFrequency": "5s"})
    data: dict[str, object] = yaml.safe_load(spec.config())
    return data


def test_configuration_is_one_of_kinds_that_names_the_cluster() -> None:
    data = config()

    assert (data["kind"], data["apiVersion"], data["name"]) == (
        "Cluster",
        "kind.x-k8s.io/v1alpha4",
        "mesh",
    )


@pytest.mark.parametrize(
    ("nodes", "roles"), [(1, ["control-plane"]), (3, ["control-plane", "worker", "worker"])]
)
def test_one_node_is_the_control_plane_and_the_others_are_workers(nodes: int, roles: list[str]) -> None:
    assert config(nodes)["nodes"] == [{"role": role} for role in roles]


def test_kubelet_is_patched_with_the_pace() -> None:
    (patch,) = yaml.safe_load(yaml.safe_dump(config()["kubeadmConfigPatches"]))

    assert yaml.safe_load(patch) == {"kind": "KubeletConfiguration", "syncFrequency": "5s"}


def test_everything_in_a_private_engine_is_ours(home: Home) -> None:
    assert is_ours(home, NODES, PRIVATE)


def test_nodes_without_a_mark_are_not_ours(home: Home) -> None:
    assert not is_ours(home, NODES, DOCKER)


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_nodes_with_a_broken_mark_are_not_ours(text: str, home: Home) -> None:
    home.owner.write_text(text)

    assert not is_ours(home, NODES, DOCKER)


def test_the_very_nodes_that_we_made_are_ours(home: Home) -> None:
    mark(home, creating="2026-01-02T10:00:00+00:00", nodes=["b2", "a1"])

    assert is_ours(home, NODES, DOCKER)


def test_other_nodes_of_the_same_name_are_not_ours(home: Home) -> None:
    """Somebody deleted our cluster and made one of the same name."""
    mark(home, creating="2026-01-02T10:00:00+00:00", nodes=["c3", "d4"])

    assert not is_ours(home, NODES, DOCKER)


def test_nodes_made_after_an_interrupted_beginning_are_ours(home: Home) -> None:
    mark(home, creating="2026-01-02T10:00:05.999999+00:00")

    assert is_ours(home, NODES, DOCKER)


def test_nodes_made_before_an_interrupted_beginning_are_not_ours(home: Home) -> None:
    mark(home, creating="2026-01-02T10:00:06+00:00")

    assert not is_ours(home, NODES, DOCKER)


def test_mark_that_says_nothing_makes_nothing_ours(home: Home) -> None:
    mark(home, kept=True)

    assert not is_ours(home, NODES, DOCKER)


def test_nodes_are_found_by_kinds_label(commands: Commands) -> None:
    assert existing_nodes("mesh", DOCKER) == NODES


def test_without_nodes_there_is_no_cluster(commands: Commands) -> None:
    commands.prints(LISTING, "\n")

    assert existing_nodes("mesh", DOCKER) == {}


def test_deletion_removes_our_containers_and_the_folder(commands: Commands, home: Home) -> None:
    mark(home, nodes=["a1", "b2"])
    commands.prints(PAUSED)
    commands.prints("docker rm -f -v a1 b2")

    assert delete_cluster("mesh", home, DOCKER, Progress(print))
    assert commands.calls[-1] == "docker rm -f -v a1 b2"
    assert not home.folder.exists()


def test_deletion_thaws_what_a_fault_paused(commands: Commands, home: Home) -> None:
    mark(home, nodes=["a1", "b2"])
    commands.prints(PAUSED, "b2\n")
    commands.prints("docker unpause b2")
    commands.prints("docker rm -f -v a1 b2")

    assert delete_cluster("mesh", home, DOCKER, Progress(print))
    assert commands.calls[-2:] == ["docker unpause b2", "docker rm -f -v a1 b2"]


def test_deletion_leaves_a_foreign_cluster_alone(commands: Commands, home: Home) -> None:
    with pytest.raises(ClusterError, match="'mesh' was not made by Meshproof"):
        delete_cluster("mesh", home, DOCKER, Progress(print))

    assert not [call for call in commands.calls if " rm " in call]


def test_deletion_of_what_is_not_there_says_so(commands: Commands, home: Home) -> None:
    commands.prints(LISTING)

    assert not delete_cluster("mesh", home, DOCKER, Progress(print))


def test_second_process_is_refused(home: Home) -> None:
    script = (
        "import fcntl, sys, time; handle = open(sys.argv[1], 'w');"
        "fcntl.flock(handle, fcntl.LOCK_EX); print(flush=True); time.sleep(60)"
    )
    with background(["python3", "-c", script, home.folder / "lock"]) as process:
        assert process.stdout
        process.stdout.readline()

        with (
            pytest.raises(ClusterError, match="another run uses the cluster 'mesh'"),
            cluster_lock(home),
        ):
            pass

    with cluster_lock(home):
        pass  # it was killed, and so no longer holds the lock


def test_second_run_of_this_process_is_refused(home: Home) -> None:
    with cluster_lock(home), pytest.raises(ClusterError), cluster_lock(home):
        pass


def test_lock_makes_the_folder(tmp_path: Path) -> None:
    with cluster_lock(Home(tmp_path / "a" / "b")):
        assert (tmp_path / "a" / "b").is_dir()


def test_lock_is_released_when_the_block_fails(home: Home) -> None:
    with pytest.raises(ZeroDivisionError), cluster_lock(home):
        raise ZeroDivisionError

    with cluster_lock(home):
        pass


@pytest.mark.parametrize("name", ["meshproof", "a", "0", "mesh-1.2"])
def test_names_that_kind_takes_pass(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "-a", ".a", "..", "Mesh", "a_b", "a/b", "a b", "mäsh", "a\n"])
def test_names_that_kind_refuses_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--cluster-name"):
        check_name(name)
