"""What the workflows may do, and that the commands which they give are there."""

from __future__ import annotations

import configparser
import copy
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.report.__main__ import main

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
# What a tag names may be moved, but not by us, and not unseen: major ones are moved by habit.
PINNED = re.compile(r"[\w.-]+/[\w.-]+(/[\w./-]+)?@(v\d+\.\d+\.\d+|[0-9a-f]{40})")
# The one job that may write, and what.
WRITES = {("release", "publish"): {"contents": "write"}}

Workflow = dict[str, Any]


def load(path: Path) -> Workflow:
    document: Workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def faults(workflow: Workflow, make: set[str], tox: set[str]) -> list[str]:
    """Say what a workflow does that it may not, or asks for that is not there.

    Args:
        workflow: The document.
        make: The targets of the Makefile.
        tox: The environments of tox.ini.
    """
    found = [f"no {key}" for key in ("permissions", "concurrency") if key not in workflow]
    if workflow.get("defaults", {}).get("run", {}).get("shell") != "bash":
        found.append("the shell is not bash by name, which alone sets pipefail")
    found += _writes(workflow.get("permissions", {}), {}, "all jobs")
    for name, job in workflow["jobs"].items():
        allowed = WRITES.get((workflow["name"], name), {})
        found += _writes(job.get("permissions", {}), allowed, name)
        if "timeout-minutes" not in job:
            found.append(f"{name}: no timeout")
        for step in job["steps"]:
            found += [f"{name}: {fault}" for fault in _step_faults(step, make, tox)]
    return found


def _writes(permissions: dict[str, str] | str, allowed: dict[str, str], where: str) -> Iterator[str]:
    if isinstance(permissions, str):
        yield f"{where}: permissions by one word, {permissions}"
        return
    for scope, right in permissions.items():
        if right not in ("read", "none", allowed.get(scope)):
            yield f"{where}: {scope}: {right}"


def _step_faults(step: dict[str, Any], make: set[str], tox: set[str]) -> Iterator[str]:
    uses = step.get("uses")
    if uses and not PINNED.fullmatch(uses):
        yield f"{uses} is not pinned by an exact version"
    if (
        uses
        and uses.startswith("actions/checkout@")
        and step.get("with", {}).get("persist-credentials", True)
    ):
        yield "the checkout leaves its token where every test could read it"
    script = step.get("run", "")
    if "${{" in script:
        yield "an expression in a script, where its value would be run: give it by env"
    for target in re.findall(r"\bmake ([\w./-]+)", script):
        if target not in make:
            yield f"make {target} is not there"
    for environment in re.findall(r"\btox .*?-e (\S+)", script):
        if environment not in tox:
            yield f"tox -e {environment} is not there"
    given = [word for text in re.findall(r'ARGS="([^"]*)"', script) for word in shlex.split(text)]
    unknown = {word for word in given if word.startswith("--")} - pytest_options()
    yield from (f"pytest has no {word}" for word in sorted(unknown))
    for command in re.findall(r"python -m fixtures\.report (\w+)", script):
        unknown = set(re.findall(r"(?<=[\s(])--[a-z][a-z-]*", script)) - report_options(command)
        yield from (f"{command} has no {word}" for word in sorted(unknown))


def pytest_options() -> set[str]:
    """The options that our own code adds to pytest."""
    sources = [ROOT / "fixtures" / "options.py", ROOT / "fixtures" / "report" / "plugin.py"]
    return set(re.findall(r'"(--[a-z-]+)"', "".join(file.read_text(encoding="utf-8") for file in sources)))


def report_options(command: str) -> set[str]:
    """The options of a command of `python -m fixtures.report`, read from its help."""
    with redirect_stdout(StringIO()) as printed:
        assert main([command, "--help"]) == 0
    return set(re.findall(r"(?<![\w-])--[a-z-]+", printed.getvalue()))


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = re.findall(r"^([\w./-]+(?: [\w./-]+)*):(?!=)", makefile, re.M)
    return {target for line in lines for target in line.split()}


def tox_environments() -> set[str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    return {name.removeprefix("testenv:") for name in parser.sections()}


def judged(workflow: Workflow) -> list[str]:
    return faults(workflow, make_targets(), tox_environments())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_does_what_it_may_and_calls_what_is_there(path: Path) -> None:
    assert judged(load(path)) == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_file_that_a_workflow_names_is_there(path: Path) -> None:
    named = re.findall(r"\bmanifests/[\w./-]+", path.read_text(encoding="utf-8"))
    assert all((ROOT / name).is_file() for name in named)


def test_a_release_needs_the_gate_and_the_gate_needs_the_runs() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "prove": None,
        "gate": "prove",
        "publish": "gate",
    }
    # Without a condition of its own a job or step is run only where all before it went well.
    assert all("if" not in job for job in jobs.values())
    assert all("if" not in step for name in ("gate", "publish") for step in jobs[name]["steps"])
    (script,) = [
        step["run"] for step in jobs["gate"]["steps"] if "fixtures.report gate" in step.get("run", "")
    ]
    wanted = {"--policy", "--commit", "--fail-on-flaky", "--history", "--baseline"}
    assert wanted <= set(re.findall(r"--[a-z-]+", script))


GOOD: Workflow = {
    "name": "ci",
    "permissions": {"contents": "read"},
    "concurrency": {"group": "ci"},
    "defaults": {"run": {"shell": "bash"}},
    "jobs": {
        "e2e": {
            "timeout-minutes": 9,
            "steps": [
                {"uses": "actions/checkout@v4.2.2", "with": {"persist-credentials": False}},
                {"run": 'make e2e ARGS="--chaos all"\n.venv/bin/tox run -e chaos'},
                {"run": "python -m fixtures.report gate a --policy b"},
            ],
        }
    },
}


def step(run: str) -> Callable[[Workflow], object]:
    return lambda w: w["jobs"]["e2e"]["steps"].append({"run": run})


def uses(action: str) -> Callable[[Workflow], object]:
    return lambda w: w["jobs"]["e2e"]["steps"].append({"uses": action})


BAD: dict[str, Callable[[Workflow], object]] = {
    "no permissions": lambda w: w.pop("permissions"),
    "no concurrency": lambda w: w.pop("concurrency"),
    "a shell without pipefail": lambda w: w.pop("defaults"),
    "all rights": lambda w: w.update(permissions="write-all"),
    "a right to write": lambda w: w["permissions"].update(packages="write"),
    "a right to write, in a job that may not": lambda w: w["jobs"]["e2e"].update(
        permissions={"contents": "write"}
    ),
    "no timeout": lambda w: w["jobs"]["e2e"].pop("timeout-minutes"),
    "a major version": uses("actions/setup-go@v5"),
    "a branch": uses("actions/setup-go@main"),
    "a short digest": uses("actions/setup-go@3041bf5"),
    "no version": uses("actions/setup-go"),
    "a token that stays": uses("actions/checkout@v4.2.2"),
    "an expression in a script": step("echo ${{ github.head_ref }}"),
    "another target": step("make e3e"),
    "another environment": step("tox run -e kaos"),
    "another option of pytest": step('make e2e ARGS="--chaos all --monkey-time 3"'),
    "another option of the gate": step("python -m fixtures.report gate a --policy b --fail-on-flake"),
    "an option of another command": step("python -m fixtures.report diff a b --policy c"),
}


def test_a_good_workflow_has_no_faults() -> None:
    assert judged(GOOD) == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_workflow_has_one(name: str) -> None:
    workflow = copy.deepcopy(GOOD)
    BAD[name](workflow)
    assert len(judged(workflow)) == 1
