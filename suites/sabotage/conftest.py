"""The fixture of sabotage: the mesh, and everything that is needed to break it and to see it judged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fixtures.session import Mesh
from suites.sabotage.saboteur import Saboteur, saboteur_of


@pytest.fixture(scope="package")
def saboteur(own_mesh: Mesh, request: pytest.FixtureRequest) -> Iterator[Saboteur]:
    """Who breaks the mesh, has it looked at, and heals it; what came of it goes into the report."""
    with ExitStack() as kept:
        yield (made := saboteur_of(own_mesh, request.config.option.stack, kept))
    made.measure()
