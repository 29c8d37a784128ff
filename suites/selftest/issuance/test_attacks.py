"""How attempts are judged: what stands open fails, but for what the reference stack leaves open."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from suites.issuance.attacks import Ground, Open, judge

FOUND = [Open("certificate", "it was signed"), Open("request", "it was signed, too")]


class Mesh:
    """A mesh under an overlay, which notes what is measured."""

    def __init__(self, overlay: str) -> None:
        self.raised = SimpleNamespace(overlay=overlay)
        self.measured: dict[str, Any] = {}

    def measure(self, path: str, value: Any) -> None:
        self.measured[path] = value


def ground(overlay: str = "none") -> Ground:
    return cast(Ground, SimpleNamespace(mesh=Mesh(overlay)))


@pytest.mark.parametrize("overlay", ["none", "hardened"])
def test_way_that_stands_open_fails(overlay: str) -> None:
    with pytest.raises(AssertionError, match="certificate: it was signed; request: it was signed, too"):
        judge(ground(overlay), "forged", FOUND)


@pytest.mark.parametrize("overlay", ["none", "hardened"])
def test_no_way_passes(overlay: str) -> None:
    assert not judge(ground(overlay), "forged", [])


def test_known_gaps_are_told_from_others() -> None:
    assert judge(ground(), "forged", FOUND, gaps=["certificate", "request"])
    with pytest.raises(AssertionError, match="request: it was signed, too"):
        judge(ground(), "forged", FOUND, gaps=["certificate"])


@pytest.mark.parametrize("found", [[], FOUND[:1]])
def test_known_gap_that_is_closed_fails(found: list[Open]) -> None:
    with pytest.raises(AssertionError, match=r"the known gap is closed: (certificate, )?request"):
        judge(ground(), "forged", found, gaps=["certificate", "request"])


def test_overlay_has_no_known_gaps() -> None:
    assert not judge(ground("hardened"), "forged", [], gaps=["certificate"])
    with pytest.raises(AssertionError):
        judge(ground("hardened"), "forged", FOUND[:1], gaps=["certificate"])


@pytest.mark.parametrize(
    ("found", "said"), [([], "no way stood open"), (FOUND[:1], "certificate: it was signed")]
)
def test_what_was_tried_is_in_the_report(found: list[Open], said: str) -> None:
    on = ground("hardened")
    with suppress(AssertionError):
        judge(on, "forged", found)

    assert cast(Mesh, on.mesh).measured == {"issuance.forged": said}
