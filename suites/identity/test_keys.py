"""Where private keys of workloads are not."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from fixtures.probe.identity import Held, config_dump, exposed_keys, key_faults, offenders, read_held
from fixtures.probe.pods import at_once
from fixtures.probe.secrets import key_owners
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh


@dataclass(frozen=True)
class Keys:
    """Leaves, and where private keys were seen around them.

    Attributes:
        held: Read before and after the Secrets: a key that was renewed in between is there twice.
        owners: Which Secret holds the private key, by the fingerprint of its public half.
        dumps: The whole configuration of each proxy, by pod.
    """

    held: list[Held]
    owners: dict[str, str]
    dumps: dict[str, str]


@pytest.fixture
def keys(mesh: Mesh) -> Keys:
    """Every private key in a Secret, and all that each Envoy tells of itself."""
    before = read_held(mesh.kube)
    owners = key_owners(mesh.kube)
    held = before + read_held(mesh.kube)
    if not held:
        raise NothingObserved("no pod runs that shall have an identity of SPIRE's")
    if not owners:
        raise NothingObserved("no Secret with a private key: not even those of the CAs could be read")
    pods = [one.pod for one in before]
    dumps = at_once(lambda pod: config_dump(mesh.kube, pod), pods)
    return Keys(held, owners, dict(zip(map(str, pods), dumps, strict=True)))


@conformance(id="identity/key-stays-home", requires={"spire"})
def test_no_secret_and_no_dump_holds_a_workloads_key(keys: Keys) -> None:
    """No Secret holds the private key of an SVID, and no proxy's configuration dump shows a key.

    > The private key of an SVID is held in memory by the agent and the workload, and is delivered
    > over the Workload API alone. (SPIFFE Workload API 5; SPIRE, concepts)

    Break: an SVIDStore or a Certificate of cert-manager's that keeps a proxy's key in a Secret;
    an Envoy that does not redact.
    """
    faults = offenders(keys.held, lambda _, svid: key_faults(svid.leaf, keys.owners))
    faults += [f"{pod}: a key at {place}" for pod, dump in keys.dumps.items() for place in exposed_keys(dump)]
    assert not faults, "; ".join(dict.fromkeys(faults))
