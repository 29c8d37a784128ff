"""How long an SVID lives, and when the next one comes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fixtures.cluster.kube import CONFIG_MAP
from fixtures.cluster.run import CommandError
from fixtures.cluster.wait import wait_for
from fixtures.probe.identity import (
    BACKDATE,
    Held,
    configured_ttl,
    lifetime_faults,
    offenders,
    read_held,
    renewal_faults,
    started_parts,
)
from fixtures.probe.layout import SPIRE
from fixtures.probe.sds import ProxySvid
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh

# Often enough that no SVID comes and goes between two looks.
_LOOKS_PER_LIFETIME = 16


@pytest.fixture
def ttl(mesh: Mesh) -> timedelta:
    """The lifetime of SVIDs, as SPIRE's server is configured."""
    return configured_ttl(mesh.kube.get(CONFIG_MAP, "spire-server", SPIRE)["data"]["server.conf"])


@conformance(id="identity/ttl-bounds", requires={"spire"})
def test_svid_lives_and_is_renewed_as_configured(mesh: Mesh, held: list[Held], ttl: timedelta) -> None:
    """No SVID outlives the configured TTL or its issuer, and each is renewed, key too, at half-life.

    > The SPIRE agent renews an SVID when about half of its lifetime is over; `default_x509_svid_ttl`
    > sets that lifetime. (SPIRE, server configuration and pkg/common/rotationutil)

    Both ends of a renewal are read from the certificates: an SVID is issued 10 s after its
    NotBefore, for SPIRE dates it back by so much.

    Break: a longer `ttl` in a ClusterSPIFFEID; an agent that cannot renew; a clock that is off.
    """
    kube = mesh.kube
    faults = offenders(held, lambda _, svid: lifetime_faults(svid, ttl))
    assert not faults, "; ".join(faults)
    parts = started_parts(kube)
    first = {one.pod.uid: one.svid for one in held if one.svid}
    second: dict[str, ProxySvid] = {}

    def waiting() -> list[str]:
        for one in read_held(kube):
            known = first.get(one.pod.uid)
            if known and one.svid and one.svid.serial != known.serial:
                second.setdefault(one.pod.uid, one.svid)
        return [str(one.pod) for one in held if one.pod.uid not in second]

    def ended(pods: list[str]) -> str | None:
        now = datetime.now(UTC)
        over = [
            f"{one.pod}: its SVID ended at {one.svid.chain[0].not_valid_after_utc:%H:%M:%S}, and is its last"
            for one in held
            if one.svid and str(one.pod) in pods and one.svid.chain[0].not_valid_after_utc < now
        ]
        return "; ".join(over) or None

    wait_for(
        waiting,
        lambda pods: not pods,
        error=ended,
        condition="every proxy renews its SVID before it ends",
        timeout=(ttl + BACKDATE).total_seconds(),
        delay=ttl.total_seconds() / _LOOKS_PER_LIFETIME,
        transient=(CommandError,),
    )
    if started_parts(kube) != parts:
        raise NothingObserved("SPIRE was restarted meanwhile: an agent then asks for all SVIDs anew")
    faults = offenders(held, lambda pod, _: renewal_faults(first[pod.uid], second[pod.uid]))
    faults += offenders(
        [Held(one.pod, second[one.pod.uid]) for one in held], lambda _, svid: lifetime_faults(svid, ttl)
    )
    assert not faults, "; ".join(faults)
