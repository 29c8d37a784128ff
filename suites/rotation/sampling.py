"""The sampler that runs beside all tests of rotation and reload, and what it takes for a judgement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import WaitTimeoutError, wait_for
from fixtures.probe.identity import started_parts
from fixtures.probe.rolling import Sampler, sampling
from fixtures.probe.samples import RENEWALS_WANTED, Recording, due, renew_faults, unrenewed, unrolled
from fixtures.session import Mesh

# The first may have been prepared before anybody looked; the second was not.
ROLLS_WANTED = 2
# Longer than at the fast pace, at which a CA rolls over every three minutes; shorter than any other.
_LONGEST_WAIT = 15 * 60


@dataclass(frozen=True)
class Samples:
    """The sampler at work.

    Attributes:
        parts: How often each container of SPIRE's had been started when it began.
    """

    sampler: Sampler
    parts: dict[str, int]


@pytest.fixture(scope="session")
def samples(mesh: Mesh) -> Iterator[Samples]:
    """Samples of every proxy, every second, from the first test of the folder on."""
    parts = started_parts(mesh.kube)
    with sampling(mesh.kube) as sampler:
        yield Samples(sampler, parts)


@pytest.fixture(scope="package", autouse=True)
def sampled_from_the_start(request: pytest.FixtureRequest) -> None:
    """Start the sampler before the first test of the folder, if any of this run's tests wants it."""
    if any("samples" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("samples")


def whole_recording(sampler: Sampler) -> Recording:
    """Wait until the samples allow a judgement, or should long have allowed it; end the sampling.

    It skips where that takes too long, by the lifetimes in the certificates.
    """
    wait_for(
        lambda: sum(bool(proxy.spells) for proxy in sampler.recording().proxies),
        bool,
        condition="a proxy shows its certificate to the sampler",
        timeout=timeouts().identity_served,
    )
    seconds = (due(sampler.recording(), ROLLS_WANTED) - datetime.now(UTC)).total_seconds()
    if seconds > _LONGEST_WAIT:
        sampler.close()
        pytest.skip(f"pace: by the lifetimes in the certificates it takes {seconds / 3600:.1f} h more")

    def missing() -> str:
        recording = sampler.recording()
        # What was not renewed in its time does not become so by waiting.
        if renew_faults(recording):
            return ""
        late = len(unrenewed(recording))
        renewed = f"proxies that have not renewed {RENEWALS_WANTED} times: {late}" if late else ""
        return "; ".join(filter(None, [*unrolled(recording, ROLLS_WANTED), renewed]))

    # What did not come is judged by the recording, which says who is to blame.
    with suppress(WaitTimeoutError):
        wait_for(
            missing,
            lambda lacking: not lacking,
            condition=f"SPIRE's CA rolled {ROLLS_WANTED} times, each SVID renewed {RENEWALS_WANTED} times",
            timeout=max(0.0, seconds) + timeouts().identity_served,
            delay=2,
        )
    sampler.close()
    return sampler.recording()
