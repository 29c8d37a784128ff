from __future__ import annotations

import pytest

from fixtures.probe.identity import Held, read_held
from fixtures.probe.spire import bundle_trust_domain
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh


@pytest.fixture(scope="module")
def held(mesh: Mesh) -> list[Held]:
    """What every proxy of the mesh holds: each workload and both gateways."""
    found = read_held(mesh.kube)
    if not found:
        raise NothingObserved("no pod runs that shall have an identity of SPIRE's")
    return found


@pytest.fixture(scope="session")
def trust_domain(mesh: Mesh) -> str:
    """The trust domain, as SPIRE's server calls it."""
    return bundle_trust_domain(mesh.kube)
