"""What happens to the mesh in this folder happens under load; the rest is tried on istiods beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.session import Mesh
from suites.reload.beside import Tried, tried_beside
from suites.under_load import judge_loads_last, traffic

__all__ = ["traffic"]  # a fixture of all tests of this folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the judgement of the loads last."""
    judge_loads_last(items, Path(__file__).parent)


@pytest.fixture(scope="package")
def tried(own_mesh: Mesh) -> Iterator[Tried]:
    """What istiods beside the mesh did, all at once."""
    with tried_beside(own_mesh) as done:
        yield done
