"""The fixtures of the tests on the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.probe.forged import mesh_signer
from fixtures.probe.layout import DEMO
from fixtures.probe.outsider import outsider
from fixtures.session import Mesh
from suites.wire.bookinfo import ECHO_PORT, ONE_REQUEST_PER_CONNECTION, PORT, Bookinfo, applied, find_bookinfo
from suites.wire.knocking import OUTSIDER, TRIED, Knocker


@pytest.fixture
def bookinfo(own_mesh: Mesh) -> Bookinfo:
    """The workloads of Bookinfo and the gateways; each of them is ready."""
    return find_bookinfo(own_mesh.kube)


@pytest.fixture(scope="package")
def one_request_per_connection(own_mesh: Mesh) -> Iterator[None]:
    """A rule by which no connection is used twice; `await_fresh` says when a proxy has it."""
    with applied(own_mesh.kube, ONE_REQUEST_PER_CONNECTION):
        yield


@pytest.fixture(scope="package")
def outside(own_mesh: Mesh) -> Iterator[None]:
    """The pod `OUTSIDER`, which is no part of the mesh and leads to both ports of `TRIED`."""
    address = find_bookinfo(own_mesh.kube).address(TRIED)
    proxies = {port: f"{address}:{port}" for port in (PORT, ECHO_PORT)}
    with outsider(own_mesh.kube, own_mesh.image("fortio"), namespace=DEMO, name=OUTSIDER, proxies=proxies):
        yield


@pytest.fixture(scope="package")
def knocker(own_mesh: Mesh, outside: None) -> Knocker:
    """A client outside the mesh, with an intermediate of the mesh's root to make certificates with."""
    return Knocker(find_bookinfo(own_mesh.kube), mesh_signer(own_mesh.kube))
