"""The fixture of the tests on the wire."""

from __future__ import annotations

import pytest

from fixtures.session import Mesh
from suites.wire.bookinfo import Bookinfo, find_bookinfo


@pytest.fixture
def bookinfo(own_mesh: Mesh) -> Bookinfo:
    """The workloads of Bookinfo and the ingress gateway; each of them is ready."""
    return find_bookinfo(own_mesh.kube)
