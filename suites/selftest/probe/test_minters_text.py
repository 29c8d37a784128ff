"""An audit as people read it."""

from __future__ import annotations

from dataclasses import replace

from fixtures.probe.minters import Audit, Objects, audit_of
from fixtures.probe.minters_text import lines
from fixtures.probe.ways import REQUESTS
from suites.selftest.probe.audited import EDIT_RULES, MESH, enforced, guarded, inside, policy


def text(audit: Audit) -> str:
    return " ".join(" ".join(lines(audit)).split())


def test_finding_is_shown_with_who_how_where_and_what_to_do() -> None:
    shown = text(audit_of(inside("dev", *EDIT_RULES)))

    assert (
        "OPEN TO User jane: create certificaterequests, in namespace dev, by RoleBinding dev/given" in shown
    )
    assert f"guard none remedy {REQUESTS.remedy}" in shown
    assert "3 of 11 ways to an identity of the mesh stand open to who is not expected: User jane." in shown


def test_guard_is_named_and_not_trusted() -> None:
    shown = text(audit_of(guarded(policy(["certificaterequests"]), bindings=[enforced()])))

    assert "who User jane: create certificaterequests" in shown
    assert (
        "guard ValidatingAdmissionPolicy minting (CREATE certificaterequests);"
        " whether it lets them through is not evaluated here" in shown
    )
    assert "Nobody who is not expected has an unguarded way" in shown


def test_policy_that_is_not_in_force_is_shown_so() -> None:
    shown = text(audit_of(guarded(policy(["certificaterequests"]))))

    assert "(CREATE certificaterequests): it has no binding guard none" in shown


def test_issuers_are_shown_with_their_doubt() -> None:
    doubted = replace(MESH, doubt="its Secret may not be read")

    shown = text(audit_of(Objects(issuers=[doubted]), ("ClusterIssuer vault (vault)",)))

    assert "ClusterIssuer selfsigned-ca may be one: its Secret may not be read" in shown
    assert "not compared: ClusterIssuer vault (vault)" in shown
    assert "none of cert-manager's" in text(audit_of(Objects()))


def test_lines_fit_a_terminal() -> None:
    assert max(map(len, lines(audit_of(inside("spire", *EDIT_RULES))))) <= 110
