"""The shell script between the engine and runc, run for real with a runc that prints its words."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.cluster import engine
from fixtures.cluster.run import CommandError, run

SCRIPT = Path(engine.__file__).with_name("oci_runtime.sh")
Runtime = Callable[..., str]

pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="the script needs jq")


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """Run the script as dockerd does."""
    runc = tmp_path / "bin" / "runc"
    runc.parent.mkdir()
    runc.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    runc.chmod(0o755)
    path = f"{runc.parent}:{os.environ['PATH']}"
    return lambda *words: run([SCRIPT, *words], timeout=10, env={"PATH": path})


def process(**changes: Any) -> dict[str, Any]:
    """A process as containerd describes it, for a privileged container."""
    kinds = ("bounding", "effective", "permitted")
    return {
        "args": ["/sbin/init", "a b", "ü"],
        "user": {"uid": 0},
        "capabilities": {kind: ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_SYS_ADMIN"] for kind in kinds},
        "oomScoreAdj": -500,
        **changes,
    }


def lowered(**changes: Any) -> dict[str, Any]:
    """The same process without what needs CAP_SYS_RESOURCE."""
    kinds = ("bounding", "effective", "permitted")
    capabilities = {kind: ["CAP_CHOWN", "CAP_SYS_ADMIN"] for kind in kinds}
    return process(capabilities=capabilities, oomScoreAdj=0, **changes)


def write(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


def test_dockerd_may_execute_it() -> None:
    assert os.access(SCRIPT, os.X_OK)


@pytest.mark.parametrize("words", [["--bundle", "{}"], ["-b", "{}"], ["--bundle={}"]])
def test_bundle_is_lowered_and_all_else_in_it_stays(
    words: list[str], runtime: Runtime, tmp_path: Path
) -> None:
    other = {"ociVersion": "1.2.0", "root": {"path": "rootfs"}, "linux": {"resources": {"pids": 5}}}
    config = write(tmp_path / "config.json", {**other, "process": process()})

    runtime("create", *(word.format(tmp_path) for word in words), "name")

    assert json.loads(config.read_text()) == {**other, "process": lowered()}


@pytest.mark.parametrize("words", [["--process", "{}"], ["-p", "{}"], ["--process={}"]])
def test_process_of_an_exec_is_lowered_and_all_else_in_it_stays(
    words: list[str], runtime: Runtime, tmp_path: Path
) -> None:
    file = write(tmp_path / "process.json", process())

    runtime("exec", *(word.format(file) for word in words), "name")

    assert json.loads(file.read_text()) == lowered()


def test_positive_oom_score_stays(runtime: Runtime, tmp_path: Path) -> None:
    file = write(tmp_path / "process.json", process(oomScoreAdj=1000))

    runtime("exec", "--process", str(file), "name")

    assert json.loads(file.read_text())["oomScoreAdj"] == 1000


def test_process_without_capabilities_and_score_stays(runtime: Runtime, tmp_path: Path) -> None:
    file = write(tmp_path / "process.json", {"args": ["true"]})

    runtime("exec", "--process", str(file), "name")

    assert json.loads(file.read_text()) == {"args": ["true"]}


def test_bundle_without_a_process_stays(runtime: Runtime, tmp_path: Path) -> None:
    config = write(tmp_path / "config.json", {"ociVersion": "1.2.0"})

    runtime("create", "--bundle", str(tmp_path), "name")

    assert json.loads(config.read_text()) == {"ociVersion": "1.2.0"}


def test_owner_and_mode_of_the_file_stay_and_nothing_is_left_beside_it(
    runtime: Runtime, tmp_path: Path
) -> None:
    config = write(tmp_path / "config.json", {"process": process()})
    config.chmod(0o640)
    inode = config.stat().st_ino

    runtime("create", "--bundle", str(tmp_path), "name")

    assert (config.stat().st_mode & 0o777, config.stat().st_ino) == (0o640, inode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "config.json"]


def test_runc_gets_the_very_words(runtime: Runtime, tmp_path: Path) -> None:
    words = ["--root", "/a b", "create", "--bundle", str(tmp_path), "--pid-file", "", "naïve"]

    assert runtime(*words) == "".join(f"{word}\n" for word in words)


def test_exit_code_of_runc_is_that_of_the_script(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "bin" / "runc").write_text("#!/bin/sh\nexit 7\n")

    with pytest.raises(CommandError) as caught:
        runtime("state", "name")

    assert caught.value.returncode == 7
