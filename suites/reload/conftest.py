"""The loads under which everything in this folder happens."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.chaos.traffic import Traffic
from fixtures.chaos.traffic import traffic as loads
from fixtures.session import Mesh
from suites.reload.beside import Tried, tried_beside

_log = logging.getLogger(__name__)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the judgement of the loads last; the sort by profile, which comes after this, keeps the order."""
    items.sort(key=lambda item: item.path == Path(__file__).with_name("test_no_loss.py"))


@pytest.fixture(scope="package")
def traffic(mesh: Mesh) -> Iterator[Traffic]:
    """Three loads, from the first test that asks for them to the last of the folder."""
    if not mesh.raised.ours:
        pytest.skip("it changes the cluster, which is not ours")
    with loads(mesh.kube, mesh.image("fortio"), say=_log.info) as running:
        yield running


@pytest.fixture(scope="package")
def tried(mesh: Mesh) -> Iterator[Tried]:
    """What istiods beside the mesh did, all at once."""
    if not mesh.raised.ours:
        pytest.skip("it changes the cluster, which is not ours")
    with tried_beside(mesh) as done:
        yield done
