"""Everything in this folder happens under load, while every proxy is sampled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.chaos.traffic import Traffic
from fixtures.session import Mesh
from suites.rotation.rotations import Rotations, rotations_of
from suites.rotation.sampling import sampled_from_the_start, samples
from suites.under_load import traffic

__all__ = ["sampled_from_the_start", "samples", "traffic"]  # fixtures of all tests of this folder


@pytest.fixture(scope="module")
def rotations(own_mesh: Mesh, traffic: Traffic) -> Iterator[Rotations]:
    """The Certificate, to be edited; it is put back after the last test of the module."""
    with rotations_of(own_mesh, traffic) as rotations:
        yield rotations
