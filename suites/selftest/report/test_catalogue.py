from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from fixtures.report.catalogue import Clause, after, render

Invoke = Callable[..., pytest.RunResult]

HEAD = "import pytest\nfrom fixtures.report.catalogue import conformance\n"
GOOD = f'''{HEAD}
raise_if_run = pytest.fixture(lambda: 1 / 0)

@conformance(id="trust/chain-depth", level="extended", requires={{"spire", "cert-manager"}})
@pytest.mark.parametrize("workload", ["a", "b"])
def test_depth(workload, raise_if_run):
    """With the root, the chain is 3 | deep.

    Some explanation.

    > Quoted from the standard,
    > on two lines.

    > Another quotation.
    """

@conformance(id="identity/leaf-is-leaf")
def test_leaf(raise_if_run):
    """A leaf is no CA."""

def test_no_clause():
    pass
'''


def refusal(pytester: pytest.Pytester, invoke: Invoke, source: str) -> str:
    """What pytest says to a suite with a wrong clause in `test_wrong.py`."""
    pytester.makepyfile(test_wrong=HEAD + source)
    run = invoke()
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    return next(line for line in run.errlines if line.startswith("ERROR:"))


def test_the_catalogue_is_printed_and_nothing_runs(pytester: pytest.Pytester, invoke: Invoke) -> None:
    pytester.makepyfile(GOOD)
    run = invoke("--catalogue", "--report-dir=auto")
    assert run.ret == pytest.ExitCode.OK
    assert [line for line in run.outlines if line] == [
        "identity/leaf-is-leaf  core",
        "    A leaf is no CA.",
        "trust/chain-depth  extended  requires cert-manager, spire",
        "    With the root, the chain is 3 | deep.",
        "    > Quoted from the standard, on two lines.",
        "2 clauses",
    ]
    assert not (pytester.path / "reports").exists()


def test_the_catalogue_as_json_is_all_of_the_output(pytester: pytest.Pytester, invoke: Invoke) -> None:
    pytester.makepyfile(GOOD)
    entries = json.loads(invoke("--catalogue=json").stdout.str())
    assert entries == [
        {
            "id": "identity/leaf-is-leaf",
            "level": "core",
            "requires": [],
            "claim": "A leaf is no CA.",
            "source": "",
        },
        {
            "id": "trust/chain-depth",
            "level": "extended",
            "requires": ["cert-manager", "spire"],
            "claim": "With the root, the chain is 3 | deep.",
            "source": "Quoted from the standard, on two lines.",
        },
    ]


def test_the_catalogue_as_markdown_is_one_table() -> None:
    clause = Clause("wire/a", "core", frozenset({"spire", "a"}), "This | that.", "RFC 1")
    assert render([clause, clause], "markdown").splitlines() == [
        "| id | level | requires | claim | source |",
        "| --- | --- | --- | --- | --- |",
        "| `wire/a` | core | a, spire | This \\| that. | RFC 1 |",
    ]


def test_a_catalogue_with_a_broken_module_is_no_success(pytester: pytest.Pytester, invoke: Invoke) -> None:
    pytester.makepyfile(test_good=GOOD, test_broken="import nonesuch")
    run = invoke("--catalogue")
    assert run.ret == pytest.ExitCode.INTERRUPTED
    run.stdout.fnmatch_lines(["*No module named 'nonesuch'*"])
    assert "2 clauses" not in run.stdout.str()


def test_two_functions_cannot_claim_one_id(pytester: pytest.Pytester, invoke: Invoke) -> None:
    pytester.makepyfile(
        test_a=f'{HEAD}\n@conformance(id="wire/a")\ndef test_x():\n    """One."""',
        test_b=f'{HEAD}\n@conformance(id="wire/a")\ndef test_x():\n    """Two."""',
    )
    run = invoke("-k", "nothing")
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines(["*clause wire/a is claimed twice: test_a.py:4 and test_b.py:4"])


def test_each_parameter_can_be_a_clause_of_its_own(pytester: pytest.Pytester, invoke: Invoke) -> None:
    pytester.makepyfile(f'''{HEAD}
@pytest.mark.parametrize("experiment", [
    pytest.param(1, marks=conformance(id="chaos/kill-one", claim="One pod may die.")),
    pytest.param(2, marks=conformance(id="chaos/kill-all", claim="All pods may die.")),
])
def test_chaos(experiment):
    """The mesh survives an experiment."""
''')
    run = invoke("--catalogue")
    run.stdout.fnmatch_lines(["chaos/kill-all*", "*All pods*", "chaos/kill-one*", "*One pod*"])


@pytest.mark.parametrize(
    "clause_id",
    ["wire", "wire/", "wire/A", "wire/a_b", "wire/a/b", "wire/-a", "/a", "wire/a\n"],
)
def test_a_malformed_id_is_refused(pytester: pytest.Pytester, invoke: Invoke, clause_id: str) -> None:
    source = f'@conformance(id={clause_id!r})\ndef test_x():\n    """Claim."""'
    error = refusal(pytester, invoke, source)
    assert error == (f"ERROR: test_wrong.py:3: malformed clause id {clause_id!r}: want 'profile/some-clause'")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        pytest.param(
            '@conformance(id="wires/a")\ndef test_x():\n    """Claim."""',
            "clause wires/a: unknown profile; there are identity, trust, wire, rotation, reload,"
            " issuance, chaos, sabotage",
            id="profile",
        ),
        pytest.param(
            '@conformance(id="wire/a", level="nice")\ndef test_x():\n    """Claim."""',
            "clause wire/a: unknown level 'nice'; there are core, extended",
            id="level",
        ),
        pytest.param(
            '@conformance(id="wire/a", requires="spire")\ndef test_x():\n    """Claim."""',
            "clause wire/a: requires 'spire' is not a set of names",
            id="requires",
        ),
        pytest.param(
            '@conformance(id="wire/a")\ndef test_x():\n    pass',
            "clause wire/a: no docstring; its first line is the claim",
            id="no-docstring",
        ),
        pytest.param(
            '@conformance(id="wire/a")\ndef test_x():\n    """> Quoted."""',
            "clause wire/a: no docstring; its first line is the claim",
            id="only-a-quotation",
        ),
        pytest.param(
            '@pytest.mark.conformance\ndef test_x():\n    """Claim."""',
            "malformed clause id None: want 'profile/some-clause'",
            id="bare-marker",
        ),
    ],
)
def test_a_wrong_clause_is_refused_with_its_place(
    pytester: pytest.Pytester, invoke: Invoke, source: str, complaint: str
) -> None:
    assert refusal(pytester, invoke, source) == f"ERROR: test_wrong.py:3: {complaint}"


def test_an_unknown_keyword_is_refused_with_its_place(pytester: pytest.Pytester, invoke: Invoke) -> None:
    source = '@pytest.mark.conformance(id="wire/a", lvl=1)\ndef test_x():\n    """Claim."""'
    error = refusal(pytester, invoke, source)
    assert error.startswith("ERROR: test_wrong.py:3: ")
    assert "'lvl'" in error


TURNS = """
from fixtures.report.catalogue import turn

def pytest_collection_modifyitems(items):
    items.sort(key=turn)
"""
UNSORTED = f"""{HEAD}
from fixtures.report.catalogue import after

@conformance(id="chaos/kill")
def test_chaos(): "It breaks the mesh."

@after("reload")
@conformance(id="rotation/guest")
def test_guest(): "It lasts as long as the tests of reload."

@after("reload")
@conformance(id="reload/sum")
def test_sum(): "It sums up its own profile."

@conformance(id="reload/first")
def test_reload(): "It reloads."

@conformance(id="rotation/first")
def test_rotation(): "It rotates."

def test_no_clause(): pass
"""


def test_profiles_take_turns_and_what_runs_after_one_does(pytester: pytest.Pytester, invoke: Invoke) -> None:
    pytester.makeconftest(TURNS)
    pytester.makepyfile(UNSORTED)
    found = [line.partition("::")[2] for line in invoke("--collect-only", "-q").outlines if "::" in line]
    assert found == ["test_no_clause", "test_rotation", "test_reload", "test_sum", "test_guest", "test_chaos"]


def test_nothing_runs_after_an_unknown_profile() -> None:
    with pytest.raises(ValueError, match="unknown profile 'reloads'; there are identity, trust, "):
        after("reloads")
