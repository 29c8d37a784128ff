from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from fixtures.cluster import engine
from fixtures.cluster.engine import (
    find_engine,
    install_packages,
    missing_packages,
    needs_lowered_runtime,
    stop_private_engine,
)
from fixtures.cluster.failures import EngineError
from fixtures.cluster.progress import Progress
from fixtures.cluster.run import background, run
from suites.selftest.cluster.commands import DOCKER, Commands
from suites.selftest.cluster.processes import await_end, has_ended

INFO = "docker info --format '{{json .}}'"
ANSWER = json.dumps({"ServerVersion": "27.0"})


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    table = Commands()
    monkeypatch.setattr(engine, "run", table)
    monkeypatch.setattr(engine, "_clients", lambda: ["docker"])
    return table


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the private engine's folder for what runs; there is no engine in it."""
    monkeypatch.setattr(engine, "RUNTIME", tmp_path)
    monkeypatch.setattr(engine, "SOCKET", tmp_path / "docker.sock")
    monkeypatch.setattr(engine, "PIDFILE", tmp_path / "docker.pid")
    return tmp_path


def leave(folder: Path, pid: int | str) -> None:
    """Leave what an engine of that process id leaves when it is killed."""
    (folder / "docker.pid").write_text(str(pid))
    (folder / "docker.sock").touch()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("docker.*"))


@contextmanager
def running(folder: Path, name: str, *arguments: str) -> Iterator[int]:
    """Run a program that has the name and the arguments of another one."""
    (folder / name).symlink_to("/bin/sh")
    with background([folder / name, "-c", "echo; sleep 60; true", *arguments]) as process:
        assert process.stdout
        process.stdout.readline()
        yield process.pid


def running_dockerd(folder: Path) -> AbstractContextManager[int]:
    """Run a program that is the private engine of that folder by its name and arguments."""
    return running(folder, "dockerd", f"--host=unix://{folder}/docker.sock")


def test_the_users_own_engine_is_found_first(commands: Commands, private: Path) -> None:
    (private / "docker.sock").touch()
    commands.prints(INFO, ANSWER)

    found = find_engine()

    assert found
    assert (found.version, found.private, found.host) == ("27.0", False, "")


def test_private_engine_is_found_where_no_other_answers(commands: Commands, private: Path) -> None:
    (private / "docker.sock").touch()
    host = f"unix://{private}/docker.sock"
    commands.fails(INFO, "Cannot connect to the Docker daemon")
    commands.prints(f"docker -H {host} info --format '{{{{json .}}}}'", ANSWER)

    found = find_engine()

    assert found
    assert (found.private, found.env["DOCKER_HOST"]) == (True, host)


def test_client_that_reaches_no_server_is_no_engine(commands: Commands, private: Path) -> None:
    """`docker info` of old clients exits with 0 and lists the errors."""
    commands.prints(INFO, json.dumps({"ServerErrors": ["Cannot connect"]}))

    assert find_engine() is None


def test_commands_run_against_the_engine(commands: Commands) -> None:
    commands.prints("docker images -q meshproof/kind:1", "sha256:1\n")

    assert DOCKER.docker("images", "-q", "meshproof/kind:1") == "sha256:1\n"


def test_packages_that_are_installed_are_not_missing(commands: Commands) -> None:
    commands.prints("dpkg-query -W -f '${Status}' jq", "install ok installed")
    commands.prints("dpkg-query -W -f '${Status}' removed", "deinstall ok config-files")
    commands.fails("dpkg-query -W -f '${Status}' unknown", "no packages found")

    assert missing_packages(["jq", "removed", "unknown"]) == ["removed", "unknown"]


def test_where_nothing_is_missing_apt_is_not_called(commands: Commands) -> None:
    commands.prints("dpkg-query -W -f '${Status}' jq", "install ok installed")

    install_packages(["jq"], Progress(print))

    assert len(commands.calls) == 1


def test_apt_that_fails_is_told_with_its_own_words(commands: Commands) -> None:
    commands.fails("dpkg-query -W -f '${Status}' jq")
    commands.fails("apt-get -q -y -o DPkg::Lock::Timeout=300 update", "Temporary failure resolving")

    with pytest.raises(EngineError, match=r"could not install jq(?s:.*)Temporary failure resolving"):
        install_packages(["jq"], Progress(print))


@pytest.mark.parametrize("pid", ["", "no number", "0", "-1", "99999999"])
def test_pid_file_that_names_no_process_is_stale(pid: str, private: Path) -> None:
    leave(private, pid)

    engine._clear_stale()

    assert left(private) == []


def test_pid_file_of_an_ended_process_is_stale(private: Path) -> None:
    leave(private, run(["sh", "-c", "echo $$"], timeout=10))

    engine._clear_stale()

    assert left(private) == []


def test_pid_file_of_another_program_is_stale_and_that_program_lives_on(private: Path) -> None:
    with background(["sleep", "60"]) as process:
        leave(private, process.pid)

        engine._clear_stale()

        assert left(private) == []
        assert not has_ended(process.pid)


def test_pid_file_of_somebody_elses_dockerd_is_stale(
    private: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_dockerd(tmp_path_factory.mktemp("theirs")) as pid:
        leave(private, pid)

        engine._clear_stale()

        assert left(private) == []
        assert not has_ended(pid)


def test_pid_file_of_a_program_that_looks_at_our_folder_is_stale(private: Path) -> None:
    with running(private, "tail", f"{private}/dockerd") as pid:
        leave(private, pid)

        engine._clear_stale()

        assert left(private) == []
        assert not has_ended(pid)


def test_engine_that_runs_is_not_stale(private: Path) -> None:
    with running_dockerd(private) as pid:
        leave(private, pid)

        engine._clear_stale()

        assert left(private) == ["docker.pid", "docker.sock"]


def test_orphaned_containerd_of_a_killed_engine_is_ended(private: Path) -> None:
    """A new dockerd refuses to start beside it."""
    folder = private / "docker" / "containerd"
    folder.mkdir(parents=True)
    with running(private, "containerd", "--config", f"{folder}/containerd.toml") as pid:
        (folder / "containerd.pid").write_text(str(pid))

        engine._clear_stale()

        await_end(pid)


def test_stopping_ends_the_engine_and_removes_what_it_leaves(private: Path) -> None:
    lines: list[str] = []
    with running_dockerd(private) as pid:
        leave(private, pid)

        assert stop_private_engine(Progress(lines.append))

        await_end(pid)
    assert left(private) == []


def test_stopping_where_none_runs_clears_what_is_stale(private: Path) -> None:
    leave(private, "99999999")

    assert not stop_private_engine(Progress(print))
    assert left(private) == []


@pytest.mark.parametrize(
    ("capabilities", "lowered"),
    [("000001ffffffffff", False), ("000001fffeffffff", True), ("0000000001000000", False)],
)
def test_lowered_runtime_is_needed_where_sys_resource_is_out_of_reach(
    capabilities: str, lowered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    status.write_text(f"Name:\tpython\nCapEff:\t0000000000000000\nCapBnd:\t{capabilities}\nSeccomp:\t0\n")
    monkeypatch.setattr(engine, "Path", lambda path: status if path == "/proc/self/status" else Path(path))

    assert needs_lowered_runtime() is lowered
