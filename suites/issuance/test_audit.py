"""Who can mint by roles, issuers and policies, read without an attempt; also of somebody else's cluster."""

from __future__ import annotations

from fixtures.probe.audit import audit
from fixtures.probe.minters import Audit, unguarded
from fixtures.probe.minters_text import lines
from fixtures.probe.stranger import USER, Stranger
from fixtures.probe.ways import CERTIFICATES, REQUESTS
from fixtures.report.catalogue import after
from fixtures.session import Mesh

# With the stranger of the other tests of this folder.
pytestmark = after("issuance")


def test_who_can_mint_is_in_the_report(mesh: Mesh) -> None:
    """The audit, as `python -m fixtures audit` prints it, lies beside the report."""
    found = audit(mesh.kube)
    mesh.run_directory.mkdir(parents=True, exist_ok=True)
    (mesh.run_directory / "minters.txt").write_text("\n".join(lines(found)) + "\n", encoding="utf-8")
    for minting in unguarded(found):
        whom = ", ".join(sorted({str(one.subject) for one in minting.grants}))
        mesh.measure(f"issuance.openTo.{minting.way.name}", whom)

    assert found.issuers, "no issuer of cert-manager's signs from the mesh's root"


def test_audit_names_the_stranger_where_he_gets_in(own_mesh: Mesh, stranger: Stranger) -> None:
    """What the audit says of a namespace's admin is what the attempts come to, under either overlay."""
    ways = {REQUESTS.name, CERTIFICATES.name}
    expected = ways if own_mesh.raised.overlay == "none" else set()

    assert _open_to(USER, audit(own_mesh.kube)) & ways == expected


def _open_to(user: str, found: Audit) -> set[str]:
    return {
        minting.way.name
        for minting in unguarded(found)
        if any(grant.subject.name == user for grant in minting.grants)
    }
