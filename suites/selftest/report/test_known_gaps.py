"""Where the suites excuse a known gap, they say why, where it is known, and until when."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from fixtures.report.assemble import profiles_of
from fixtures.report.gate import Policy, load_document
from fixtures.report.model import ClauseResult, KnownGap
from fixtures.report.plugin import _LONGEST_MESSAGE

ROOT = Path(__file__).parents[3]


def gaps_of(source: str) -> Iterator[str]:
    """List the reasons of all calls of `xfail`: a literal, or a name of the module."""
    tree = ast.parse(source)
    named = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "xfail":
            reason = next((word.value for word in node.keywords if word.arg == "reason"), None)
            value = reason or (node.args[0] if node.args else ast.Constant(""))
            yield ast.literal_eval(named[value.id] if isinstance(value, ast.Name) else value)


def known(reason: str) -> KnownGap:
    """Read a reason as the report does."""
    clause = ClauseResult(id="wire/a", level="core", outcome="known-gap", seconds=0, message=reason)
    return profiles_of([clause])[0].core.known_gaps[0]


def faults(reason: str) -> list[str]:
    """Say what a reason lacks."""
    gap, found = known(reason), []
    if gap.link is None:
        found.append("no link")
    if gap.expires is None:
        found.append("no expiry")
    elif not is_day(gap.expires):
        found.append("a day that never was")
    # The report cuts what is longer, and with it what stands at the end.
    if len(reason) > _LONGEST_MESSAGE:
        found.append("too long")
    return found


def is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


DECLARED = {
    f"{path.relative_to(ROOT)}:{number}": reason
    for path in sorted((ROOT / "suites").rglob("*.py"))
    if "selftest" not in path.parts
    for number, reason in enumerate(gaps_of(path.read_text(encoding="utf-8")))
}


@pytest.mark.parametrize("place", DECLARED)
def test_every_known_gap_has_its_link_and_its_expiry(place: str) -> None:
    assert faults(DECLARED[place]) == []


def test_suite_and_policy_agree_on_the_gaps_there_are() -> None:
    policy = Policy.model_validate(load_document((ROOT / "manifests/gate.yaml").read_text(encoding="utf-8")))
    declared = [known(reason) for reason in DECLARED.values()]
    days = sorted(f"{gap.expires}" for gap in policy.known_gaps)
    assert sorted(f"{gap.expires}" for gap in declared) == days
    assert {gap.link for gap in policy.known_gaps} - {None} <= {gap.link for gap in declared}


@pytest.mark.parametrize(
    ("reason", "lacks"),
    [
        ("https://example.org/1, expires 2027-06-30", []),
        ("expires 2027-06-30", ["no link"]),
        ("https://example.org/1", ["no expiry"]),
        ("https://example.org/1 expires 2027-6-30", ["no expiry"]),
        ("https://example.org/1 expires 2027-06-31", ["a day that never was"]),
        ("x" * 400 + " https://example.org/1, expires 2027-06-30", ["too long"]),
    ],
)
def test_a_reason_that_lacks_something_is_seen(reason: str, lacks: list[str]) -> None:
    assert faults(reason) == lacks


@pytest.mark.parametrize(
    "source",
    [
        '@pytest.mark.xfail(strict=True, reason="a")\ndef test(): ...',
        'W = "a"\ndef test():\n    pytest.xfail(W)',
        '@pytest.mark.xfail(raises=OSError, reason=("a"\n""))\ndef test(): ...',
    ],
)
def test_every_way_to_excuse_a_gap_is_found(source: str) -> None:
    assert list(gaps_of(source)) == ["a"]
