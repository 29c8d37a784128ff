"""What happens to the mesh in this folder happens under load; the rest is tried on istiods beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.report.outcomes import NOT_SUPPORTED
from fixtures.session import Mesh
from suites.reload.beside import Tried, tried_beside
from suites.under_load import traffic

__all__ = ["traffic"]  # a fixture of all tests of this folder


@pytest.fixture(scope="package")
def tried(own_mesh: Mesh) -> Iterator[Tried]:
    """What istiods beside the mesh did, all at once."""
    if own_mesh.raised.overlay != "none":
        pytest.skip(f"{NOT_SUPPORTED} the overlay lets no istiod beside have an intermediate")
    with tried_beside(own_mesh) as done:
        yield done
