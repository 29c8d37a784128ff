"""The judgement of a run of mutmut: no mutant goes unseen, and no reason outlives its mutant."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fixtures.report import __main__ as command
from fixtures.report.mutants import (
    Change,
    Listed,
    Measured,
    MutantsError,
    Summary,
    changed_since,
    digest,
    faults,
    line,
    measured,
    summary,
    table,
)

ROOT = Path(__file__).parents[3]
MUTANTS = ROOT / "suites" / "selftest" / "mutants.toml"
FIGURES = ROOT / "docs" / "mutation.json"

SOURCE = "def least(a, b):\n    return a if a < b else b\n"
# As mutmut 3.8 writes it, without its imports.
MUTATED = '''
mutants_x_least__mutmut: MutantDict = {}  # type: ignore

@_mutmut_mutated(mutants_x_least__mutmut)
def least(a, b):
    return a if a < b else b

def x_least__mutmut_orig(a, b):
    return a if a < b else b

def x_least__mutmut_1(a, b):
    return a if a <= b else b

def x_least__mutmut_2(a, b):
    return a if (a < b) and False else b

class Path:
    @_mutmut_mutated(mutants_xǁPathǁends__mutmut)
    def ends(self):
        """Say so."""
        steps = self.steps
        return bool(
            steps
        )

    def xǁPathǁends__mutmut_orig(self):
        """Say so."""
        steps = self.steps
        return bool(
            steps
        )

    def xǁPathǁends__mutmut_1(self):
        """Say so."""
        steps = self.steps
        return bool(
            None
        )

    def xǁPathǁends__mutmut_2(self):
        """Say so."""
        return bool(
            steps
        )
'''
EDGE = Change("a/b.py", "least", "return a if a < b else b", "return a if a <= b else b")
NONE = Change("a/b.py", "Path.ends", "steps", "None")
GONE = Change("a/b.py", "Path.ends", "steps = self.steps", "")


def codes(*values: int | None) -> dict[str, Any]:
    names = ["x_least__mutmut_1", "x_least__mutmut_2", "xǁPathǁends__mutmut_1", "xǁPathǁends__mutmut_2"]
    return {"exit_code_by_key": {f"a.b.{name}": code for name, code in zip(names, values, strict=True)}}


def read(*values: int | None) -> Measured:
    return measured("a/b.py", SOURCE, MUTATED, codes(*values))


def listed(*changes: Change, reason: str = "equivalent: both are the same") -> Listed:
    return Listed.model_validate(
        {
            "survivors": [
                {"module": c.module, "function": c.function, "reason": reason, "changes": [c.change]}
                for c in changes
            ]
        }
    )


def test_a_mutant_is_known_by_its_function_and_its_lines() -> None:
    found = read(0, 1, 33, 5)
    assert found == Measured("a/b.py", digest(SOURCE), {"survived": 3, "killed": 1}, (NONE, GONE, EDGE))
    assert str(EDGE) == "a/b.py: least: return a if a < b else b => return a if a <= b else b"


@pytest.mark.parametrize("code", [1, 3])
def test_a_failed_test_is_a_kill(code: int) -> None:
    assert read(1, 1, 1, code).fates == {"killed": 4}


@pytest.mark.parametrize("code", [-24, 24, 36, 152, 255])
def test_a_mutant_that_was_stopped_is_no_survivor(code: int) -> None:
    assert read(1, 1, code, 1) == Measured("a/b.py", digest(SOURCE), {"killed": 3, "timeout": 1}, ())


def test_what_mypy_refuses_is_no_mutant() -> None:
    found = read(1, 37, 0, 37)
    assert found.fates == {"killed": 1, "refused": 2, "survived": 1}
    assert faults([found], listed(NONE), wanted=0.51) == ["50.0% killed, wanted are 51.0%"]
    made = summary([found, read(1, 1, 1, 37)], listed(NONE), tool="mutmut", version="3")
    assert (made.mutants, made.killed, made.survived, made.refused, made.score) == (5, 4, 1, 3, 0.8)
    assert [(one.mutants, one.refused) for one in made.modules] == [(2, 2), (3, 1)]


@pytest.mark.parametrize("code", [None, 2, 34, 35, -9, -11])
def test_what_came_to_no_end_is_no_measurement(code: int | None) -> None:
    with pytest.raises(MutantsError) as caught:
        read(1, code, 1, code)
    assert str(caught.value) == (
        f"a/b.py: 2 mutants came to no end that is known, a.b.x_least__mutmut_2 to {code}"
    )


@pytest.mark.parametrize("name", ["a.b.x_least__mutmut_9", "a.b.x_most__mutmut_1", "a.b.least"])
def test_a_mutant_that_is_not_there_is_no_measurement(name: str) -> None:
    with pytest.raises(MutantsError, match="no mutant"):
        measured("a/b.py", SOURCE, MUTATED, {"exit_code_by_key": {name: 0}})


def test_every_survivor_is_listed_and_nothing_else_is() -> None:
    found = [read(0, 1, 0, 1)]
    assert faults(found, listed(EDGE, NONE), wanted=0.5) == []
    assert faults(found, listed(EDGE), wanted=0.5) == [f"survived, and is not listed: {NONE}"]
    assert faults(found, listed(EDGE, NONE, GONE), wanted=0.5) == [f"listed, but is killed or gone: {GONE}"]
    assert faults(found, listed(EDGE, NONE, NONE), wanted=0.5) == [f"listed twice: {NONE}"]


def test_too_few_kills_are_a_fault_even_where_every_survivor_has_its_reason() -> None:
    assert faults([read(0, 1, 1, 1)], listed(EDGE)) == ["75.0% killed, wanted are 95.0%"]
    assert faults([read(0, 1, 1, -24)], listed(EDGE), wanted=0.75) == []
    assert faults([read(0, 1, 1, 1)] * 2 + [read(1, 1, 1, 1)], listed(EDGE), wanted=0.83) == []
    assert faults([], listed(EDGE), wanted=0.1)[-1] == "0.0% killed, wanted are 10.0%"


def test_a_test_that_is_not_found_again_kills_nothing() -> None:
    tests = ["t.py::a[x]", r"t.py::b[\xe4]"]
    found = faults([read(1, 1, 1, 1)], Listed(), tests=tests)
    assert found == [r"not to be found twice, for its backslash: t.py::b[\xe4]"]


@pytest.mark.parametrize("reason", ["", "so", "equivalent", "equivalent: ", "unneeded: ", "unneeded:x"])
def test_a_survivor_needs_a_reason_of_one_of_two_kinds(reason: str) -> None:
    with pytest.raises(ValidationError):
        listed(EDGE, reason=reason)
    assert listed(EDGE, reason="unneeded: x").survivors[0].reason == "unneeded: x"


def test_a_summary_has_every_figure_and_every_reason() -> None:
    made = summary([read(0, 1, -24, 1), read(1, 1, 1, 1)], listed(EDGE), tool="mutmut", version="3")
    assert (made.mutants, made.killed, made.timeout, made.survived, made.score) == (8, 7, 1, 1, 0.875)
    one = made.modules[0]
    assert (one.module, one.sha256) == ("a/b.py", digest(SOURCE))
    assert (one.mutants, one.killed, one.timeout, one.survived) == (4, 3, 1, 1)
    assert made.survivors == listed(EDGE).survivors
    assert table(made).splitlines() == [
        "a/b.py     3 of    4 killed, 1 of them stopped, 1 survived",
        "a/b.py     4 of    4 killed",
    ]
    assert line(made) == "mutmut 3: 7 of 8 mutants killed, 87.5%"
    assert line(made, ["a/b.py", "c.py"]).endswith("; measured on an older source of a/b.py, c.py")


def test_a_summary_of_another_source_is_told() -> None:
    made = summary([read(1, 1, 1, 1)], Listed(), tool="mutmut", version="3")
    assert changed_since(made, {"a/b.py": SOURCE, "c.py": ""}) == []
    assert changed_since(made, {"a/b.py": SOURCE + "\n"}) == ["a/b.py"]
    assert changed_since(made, {}) == ["a/b.py"]


# The command.


@pytest.fixture
def mutants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command on a folder in which mutmut ran."""
    monkeypatch.setattr(command, "version", lambda _: "3.8.1")

    def run(*values: int | None, reasons: Listed | str) -> int:
        for path, text in (("a/b.py", SOURCE), ("mutants/a/b.py", MUTATED), ("mutants/a/c.py", "")):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text, encoding="utf-8")
        (tmp_path / "a/c.py").touch()
        (tmp_path / "mutants/a/b.py.meta").write_text(json.dumps(codes(*values)), encoding="utf-8")
        stats = json.dumps({"duration_by_test": {"t.py::a": 0.1}})
        (tmp_path / "mutants/mutmut-stats.json").write_text(stats, encoding="utf-8")
        (tmp_path / "mutants/a/c.py.meta").write_text('{"exit_code_by_key": {}}', encoding="utf-8")
        text = reasons if isinstance(reasons, str) else toml(reasons)
        (tmp_path / "listed.toml").write_text(text, encoding="utf-8")
        words = ["--listed", str(tmp_path / "listed.toml"), "--write", str(tmp_path / "made.json")]
        return command.main(["mutants", str(tmp_path), *words])

    return run


def toml(reasons: Listed) -> str:
    """Write a list as its file has it, beside the configuration of mutmut."""
    parts = ['[tool.mutmut]\nsource_paths = ["a"]\n']
    for one in reasons.survivors:
        fields = (f"{name} = {json.dumps(value)}\n" for name, value in one.model_dump().items())
        parts.append("[[survivors]]\n" + "".join(fields))
    return "\n".join(parts)


def test_command_writes_what_a_report_can_show(
    mutants: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mutants(1, 1, 1, 1, reasons=Listed()) == 0
    assert capsys.readouterr().out.splitlines() == [
        "a/b.py     4 of    4 killed",
        "mutmut 3.8.1: 4 of 4 mutants killed, 100.0%",
    ]
    made = Summary.model_validate_json((tmp_path / "made.json").read_text(encoding="utf-8"))
    assert made == summary([read(1, 1, 1, 1)], Listed(), tool="mutmut", version="3.8.1")


def test_command_names_what_is_wrong_and_writes_no_figure_of_it(
    mutants: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mutants(0, 1, 1, 1, reasons=listed(NONE)) == 1
    assert capsys.readouterr().out.splitlines() == [
        "a/b.py     3 of    4 killed, 1 survived",
        f"survived, and is not listed: {EDGE}",
        f"listed, but is killed or gone: {NONE}",
        "75.0% killed, wanted are 95.0%",
        "mutmut 3.8.1: 3 of 4 mutants killed, 75.0%",
    ]
    assert not (tmp_path / "made.json").exists()


@pytest.mark.parametrize(
    ("values", "reasons", "words"),
    [
        ((1, None, 1, 1), "", "came to no end that is known"),
        ((1, 1, 1, 1), "[", "want the list of survivors"),
        ((1, 1, 1, 1), "[[survivors]]\nmodule = 'a'", "want the list of survivors"),
    ],
    ids=["half-run", "no-toml", "no-list"],
)
def test_half_a_run_and_half_a_list_are_wrong_use(
    values: tuple[int | None, ...],
    reasons: str,
    words: str,
    mutants: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert mutants(*values, reasons=reasons) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err


def test_a_folder_without_mutants_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "listed.toml").touch()
    assert command.main(["mutants", str(tmp_path), "--listed", str(tmp_path / "listed.toml")]) == 2
    assert "no mutants; want the folder in which mutmut ran" in capsys.readouterr().err


# Our own list, and the figures that were last measured.


def test_our_figures_are_of_our_list_and_good_enough() -> None:
    """Measured by `tox -e mutants`, which takes too long for every run."""
    reasons = Listed.model_validate(
        {"survivors": tomllib.loads(MUTANTS.read_text(encoding="utf-8"))["survivors"]}
    )
    made = Summary.model_validate_json(FIGURES.read_text(encoding="utf-8"))
    assert made.survivors == reasons.survivors
    assert made.score >= 0.95
    assert made.killed + made.survived == made.mutants == sum(one.mutants for one in made.modules)


def test_our_list_is_of_modules_that_are_mutated() -> None:
    document = tomllib.loads(MUTANTS.read_text(encoding="utf-8"))
    config = document["tool"]["mutmut"]
    found = [sorted(ROOT.glob(pattern)) for pattern in config["only_mutate"]]
    assert all(found)
    mutated = {path.relative_to(ROOT).as_posix() for paths in found for path in paths}
    assert {one["module"] for one in document["survivors"]} <= mutated
    tests = [*config["pytest_add_cli_args_test_selection"], *config["also_copy"]]
    assert [name for name in tests if not (ROOT / name).exists()] == []
