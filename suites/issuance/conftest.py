"""The fixtures of the attacks: a stranger with a namespace, and a workload that lets in one caller only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from fixtures.pki import mint
from fixtures.probe.forged import mesh_signer, proper_leaf
from fixtures.probe.layout import ISTIO, SPIRE
from fixtures.probe.outsider import outsider
from fixtures.probe.stranger import Stranger
from fixtures.probe.stranger import stranger as a_stranger
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh
from suites.issuance.attacks import Ground
from suites.wire.bookinfo import CLIENT, ECHO_PORT, PORT, find_bookinfo
from suites.wire.knocking import CALLER, OUTSIDER, TRIED, Knocker, only_caller

# Of the stranger's pod, to the two APIs that sign.
CSR_PORT, SPIRE_PORT = 15012, 8081


@pytest.fixture(scope="package")
def stranger(own_mesh: Mesh) -> Iterator[Stranger]:
    """Somebody with a namespace of his own."""
    with a_stranger(own_mesh.kube) as his:
        yield his


@pytest.fixture(scope="package")
def ground(own_mesh: Mesh, stranger: Stranger) -> Iterator[Ground]:
    """`TRIED`, which lets in `CALLER` only, and the stranger's pod that leads there.

    Before anything is tried, a certificate for the caller that the mesh's root signed is let in, and one
    for another workload is not: whoever is let in later was taken for the caller.
    """
    bookinfo = find_bookinfo(own_mesh.kube)
    victim = bookinfo.spiffe_id(CALLER)
    address = bookinfo.address(TRIED)
    proxies = {
        **{port: f"{address}:{port}" for port in (PORT, ECHO_PORT)},
        CSR_PORT: f"istiod.{ISTIO}.svc:15012",
        SPIRE_PORT: f"spire-server.{SPIRE}.svc:8081",
    }
    image = own_mesh.image("fortio")
    with (
        outsider(stranger.kube, image, namespace=stranger.namespace, name=OUTSIDER, proxies=proxies),
        only_caller(bookinfo, victim),
    ):
        knocker = Knocker(bookinfo, mesh_signer(own_mesh.kube), stranger.namespace)
        _check(knocker, victim, bookinfo.spiffe_id(CLIENT))
        yield Ground(own_mesh, stranger, bookinfo, knocker, victim)


def _check(knocker: Knocker, victim: str, other: str) -> None:
    now = datetime.now(UTC)
    presented: dict[str, mint.Issued] = {
        "caller": proper_leaf(knocker.signer, victim, now=now),
        "another": proper_leaf(knocker.signer, other, now=now),
    }
    codes = {name: one.reply.code for name, one in knocker.ask(presented).items()}
    if codes != {"caller": 200, "another": 403}:
        raise NothingObserved(f"{TRIED} does not let in {victim} alone: {codes}")
