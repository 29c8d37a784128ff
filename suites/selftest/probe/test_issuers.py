"""Which issuers sign from the root of the mesh."""

from __future__ import annotations

import pytest

from fixtures.cluster.kube import Object
from fixtures.pki import TrustBundle, mint
from fixtures.probe.issuers import ca_issuers, compared, elsewhere
from suites.selftest.probe.audited import MESH

ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
OTHER = mint.authority(mint.CERT_MANAGER_ROOT)
BUNDLE = TrustBundle((ROOT.cert,))
FIRST = mint.intermediate(ROOT)
SECOND = mint.intermediate(FIRST)


@pytest.mark.parametrize(
    ("ca", "bundle"),
    [
        (ROOT, BUNDLE),
        (FIRST, BUNDLE),
        (SECOND, BUNDLE),
        (mint.authority(mint.CERT_MANAGER_ROOT, key=ROOT.key), BUNDLE),
        (ROOT, TrustBundle((OTHER.cert, ROOT.cert))),
    ],
    ids=["root", "intermediate", "below-it", "renewed-root", "one-of-two"],
)
def test_issuer_whose_chain_leads_to_the_root_signs_from_it(ca: mint.Issued, bundle: TrustBundle) -> None:
    assert compared(MESH, ca.chain, (), bundle) == MESH


@pytest.mark.parametrize(
    "ca",
    [OTHER, mint.intermediate(OTHER), mint.intermediate(ROOT, with_key=OTHER.key)],
    ids=["root", "below", "forged"],
)
def test_issuer_of_another_root_does_not(ca: mint.Issued) -> None:
    assert compared(MESH, ca.chain, (ca.root,) if ca.root is OTHER.cert else (), BUNDLE) is None


def test_link_may_be_in_what_cert_manager_took_for_the_root() -> None:
    assert compared(MESH, (SECOND.cert,), (FIRST.cert,), BUNDLE) == MESH


def test_gap_below_the_root_leaves_a_doubt() -> None:
    found = compared(MESH, (SECOND.cert,), (ROOT.cert,), BUNDLE)

    assert found
    assert "its chain does not lead there" in found.doubt


def issuer(name: str, namespace: str = "", **spec: object) -> Object:
    return {"metadata": {"name": name, **({"namespace": namespace} if namespace else {})}, "spec": spec}


def test_issuers_with_a_ca_are_found() -> None:
    ca = {"secretName": "ca"}

    found = ca_issuers([issuer("mesh", ca=ca), issuer("le", acme={}), issuer("team", "dev", ca=ca)])

    assert [str(one) for one in found] == ["ClusterIssuer mesh", "Issuer dev/team"]
    assert [(one.key_namespace, one.secret) for one in found] == [("cert-manager", "ca"), ("dev", "ca")]


def test_issuers_that_do_not_say_what_they_sign_with_are_named() -> None:
    others = [issuer("vault", vault={"server": "x"}), issuer("le", acme={}), issuer("self", selfSigned={})]

    assert elsewhere([*others, issuer("v", "dev", venafi={"zone": "z"})]) == (
        "ClusterIssuer vault (vault)",
        "Issuer dev/v (venafi)",
    )
