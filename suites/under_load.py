"""What the folders have in common whose tests run under load: the loads."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from fixtures.chaos.traffic import Traffic
from fixtures.chaos.traffic import traffic as loads
from fixtures.session import Mesh

_log = logging.getLogger(__name__)


@pytest.fixture(scope="package")
def traffic(own_mesh: Mesh) -> Iterator[Traffic]:
    """Three loads, from the first test that asks for them to the last of the folder."""
    with loads(own_mesh.kube, own_mesh.image("fortio"), say=_log.info) as running:
        yield running
