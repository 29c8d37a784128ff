"""What holds for the code as a whole, read from its syntax trees."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from fixtures.cluster.run import CommandError, run

ROOT = Path(__file__).parents[2]
FIXTURES = sorted(ROOT.glob("fixtures/**/*.py"))
SELFTESTS = sorted(ROOT.glob("suites/selftest/**/*.py"))
SUITES = sorted(set(ROOT.glob("suites/**/*.py")) - set(SELFTESTS))

# What the modules of each package may import of ours.
ALLOWED: dict[str, tuple[str, ...]] = {
    "pki": ("fixtures.pki",),
    "cluster": ("fixtures.cluster",),
    "report": ("fixtures.report", "fixtures.__version__"),
    "build": ("fixtures.build", "fixtures.cluster"),
    # charts and CRDs lie in the modules that images/ pins
    "stack": ("fixtures.stack", "fixtures.cluster", "fixtures.build.builder"),
    "probe": ("fixtures.probe", "fixtures.cluster", "fixtures.pki"),
    "chaos": ("fixtures.chaos", "fixtures.probe", "fixtures.cluster", "fixtures.pki", "fixtures.report"),
    "sabotage": (
        *("fixtures.sabotage", "fixtures.chaos", "fixtures.probe", "fixtures.cluster", "fixtures.pki"),
        *("fixtures.report", "fixtures.stack"),
    ),
}
# What judges a recording works without a cluster, also years later.
PURE = ("history", "checks", "load_checks", "verdict", "windows", "records", "judging", "monkey")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[str]:
    """Name every module that a file imports, wherever it does; relative imports begin with a dot."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            # `from fixtures.chaos import checks` is an import of the module `fixtures.chaos.checks`.
            for alias in node.names:
                deeper = ROOT / module.replace(".", "/") / f"{alias.name}.py"
                yield f"{module}.{alias.name}" if module == "fixtures" or deeper.exists() else module


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def ours(path: Path) -> set[str]:
    return {module for module in imports(path) if within(module, ("fixtures", "suites", "conftest"))}


def modules(package: str) -> list[Path]:
    return [path for path in FIXTURES if path.is_relative_to(ROOT / "fixtures" / package)]


def calls(path: Path) -> Iterator[str]:
    """Give the text of every function that a file calls."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_imports_are_absolute() -> None:
    files = (*FIXTURES, *SUITES, *SELFTESTS, ROOT / "conftest.py")

    assert [name_of(path) for path in files if any(m.startswith(".") for m in imports(path))] == []


@pytest.mark.parametrize("package", ALLOWED)
def test_package_imports_only_what_it_may(package: str) -> None:
    assert modules(package)

    forbidden = {
        name_of(path): sorted(wrong)
        for path in modules(package)
        if (wrong := {module for module in ours(path) if not within(module, ALLOWED[package])})
    }

    assert forbidden == {}


def test_every_package_has_a_rule() -> None:
    packages = {path.parent.name for path in FIXTURES if path.parent != ROOT / "fixtures"}

    assert packages == set(ALLOWED)


def test_verifier_needs_nothing_but_cryptography() -> None:
    allowed = {*sys.stdlib_module_names, "cryptography", "fixtures"}
    wanted = {module.partition(".")[0] for path in modules("pki") for module in imports(path)}

    assert wanted <= allowed


@pytest.mark.parametrize("module", PURE)
def test_what_judges_a_recording_needs_no_cluster(module: str) -> None:
    path = ROOT / "fixtures" / "chaos" / f"{module}.py"
    allowed = ("fixtures.pki", "fixtures.report", *(f"fixtures.chaos.{name}" for name in PURE))

    assert {module for module in ours(path) if not within(module, allowed)} == set()


def test_stack_takes_nothing_of_the_builder_but_the_folder_of_a_module() -> None:
    taken = {
        alias.name
        for path in modules("stack")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.module == "fixtures.build.builder"
        for alias in node.names
    }

    assert taken <= {"module_folder"}


def test_fixtures_never_import_suites() -> None:
    assert [name_of(path) for path in FIXTURES if any(within(m, ("suites",)) for m in imports(path))] == []


def test_suites_under_test_never_import_selftests() -> None:
    assert [name_of(p) for p in SUITES if any(within(m, ("suites.selftest",)) for m in imports(p))] == []


def test_one_place_starts_programs() -> None:
    forbidden = {"os.system", "os.popen", "os.execv", "os.execvp", "os.posix_spawn", "os.fork", "pty.spawn"}

    def starts(path: Path) -> bool:
        return "subprocess" in imports(path) or not forbidden.isdisjoint(calls(path))

    assert [name_of(path) for path in (*FIXTURES, *SUITES, *SELFTESTS) if starts(path)] == [
        "fixtures/cluster/run.py"
    ]


def test_one_place_forks_runs_of_the_suite() -> None:
    forks = [name_of(path) for path in (*FIXTURES, *SUITES) if "multiprocessing" in imports(path)]

    assert forks == ["fixtures/sabotage/look.py"]


def test_nothing_sleeps() -> None:
    """Not even the waiting loop: it waits for the event that ends it, which a sleep would not."""

    def sleeps(path: Path) -> bool:
        return any(call.rpartition(".")[2] == "sleep" for call in calls(path))

    assert [name_of(path) for path in (*FIXTURES, *SUITES) if sleeps(path)] == []


def test_no_module_is_a_bag_of_things() -> None:
    bags = {"utils", "util", "helpers", "helper", "common", "misc", "base"}

    assert [name_of(path) for path in (*FIXTURES, *SUITES, *SELFTESTS) if path.stem in bags] == []


def test_every_fixture_of_pytest_is_a_few_lines() -> None:
    """Context managers and functions do the work, so that it can be done without pytest."""
    long = {
        node.name: len(body)
        for node in ast.walk(tree(ROOT / "fixtures" / "session.py"))
        if isinstance(node, ast.FunctionDef)
        and any("pytest.fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
        and len(body := ast.unparse(ast.Module(node.body, [])).splitlines()) > 8
    }

    assert long == {}


def conformance_tests() -> Iterator[tuple[str, str]]:
    """Give the place and the docstring of every test that proves a clause."""
    for path in SUITES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef) and "conformance(" in " ".join(
                ast.unparse(decorator) for decorator in node.decorator_list
            ):
                yield f"{name_of(path)}:{node.name}", ast.get_docstring(node) or ""


CLAUSES = dict(conformance_tests())


def test_clauses_are_found() -> None:
    assert "suites/chaos/test_experiments.py:test_experiment" in CLAUSES


@pytest.mark.parametrize("clause", CLAUSES)
def test_clause_begins_with_its_claim_in_a_sentence(clause: str) -> None:
    first, _, rest = CLAUSES[clause].partition("\n")

    assert first.endswith(".")
    assert rest.startswith("\n")


@pytest.mark.parametrize("clause", CLAUSES)
def test_clause_quotes_what_it_rests_on(clause: str) -> None:
    assert re.search(r"(?m)^> \S", CLAUSES[clause])


def test_no_file_names_a_folder_of_one_machine() -> None:
    try:
        listing = run(["git", "ls-files", "-z"], timeout=20, cwd=ROOT)
    except CommandError:
        pytest.skip("this is no git checkout")
    # The node's build mounts its folder at one of these names, in a container.
    machine = re.compile(r"(?<![\w.}-])/(?:work/(?!images\.tar)|root/|home/|Users/)")
    found = [
        f"{name}: {line.strip()[:80]}"
        for name in listing.split("\0")
        if name and (ROOT / name).is_file()
        for line in (ROOT / name).read_text(errors="replace").splitlines()
        if machine.search(line)
    ]

    assert found == []
