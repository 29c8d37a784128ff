"""How fast a verdict is, against the same work in the same run. Opt in: `MESHPROOF_BENCH=1`.

Times are processor times, the best of many rounds taken in turns, so that other work on the
machine does not decide; only a spawned program has to be timed by the wall clock.
"""

from __future__ import annotations

import os
import time
import timeit
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from fixtures.cluster.run import run
from fixtures.pki import TrustBundle, judge_svid, load_pem_chain, mint
from suites.selftest.pki.positive import KEYS, KINDS, OTHER_KEYS

pytestmark = pytest.mark.skipif(
    "MESHPROOF_BENCH" not in os.environ, reason="a benchmark: set MESHPROOF_BENCH=1"
)

ROUNDS, REPEATS = 60, 20
MAX_RATIO_TO_CRYPTOGRAPHY = 1.5
MIN_RATIO_TO_OPENSSL = 20
MAX_GROWTH_PER_CERTIFICATE = 1.25


def made(presented: int, kind: mint.KeyKind) -> tuple[bytes, x509.Certificate]:
    """A chain of so many presented certificates as PEM, and its root."""
    parent = root = mint.authority(mint.CERT_MANAGER_ROOT, key=KEYS[kind])
    for level in range(presented - 1):
        subject = ((x509.NameOID.COMMON_NAME, f"level {level}"),)
        profile = replace(mint.INTERMEDIATE, subject=subject)
        parent = mint.intermediate(parent, profile, key=OTHER_KEYS[kind])
    return mint.pem(*mint.leaf(parent, key=OTHER_KEYS[kind]).chain), root.cert


def ours(pem: bytes, root: x509.Certificate) -> Callable[[], None]:
    """From PEM to a verdict, with the bundle at hand."""
    bundle = TrustBundle((root,))

    def work() -> None:
        assert judge_svid(load_pem_chain(pem), bundle, now=mint.NOON).valid

    return work


def cryptographys(pem: bytes, root: x509.Certificate) -> Callable[[], None]:
    """From PEM to a path, with the store at hand: no SPIFFE clause is looked at."""
    store = Store([root])

    def work() -> None:
        leaf, *above = x509.load_pem_x509_certificates(pem)
        verifier = PolicyBuilder().store(store).time(mint.NOON).build_client_verifier()
        verifier.verify(leaf, above)

    return work


def microseconds(*works: Callable[[], None]) -> list[float]:
    """The best processor time of each, taken in turns; `timeit` keeps the collector out."""
    timers = [timeit.Timer(work, timer=time.process_time) for work in works]
    rounds = [[timer.timeit(REPEATS) for timer in timers] for _ in range(ROUNDS)]
    return [min(times) / REPEATS * 1e6 for times in zip(*rounds, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("presented", [1, 2, 3, 4])
def test_at_most_half_as_much_again_as_cryptography(
    presented: int, kind: mint.KeyKind, capsys: pytest.CaptureFixture[str]
) -> None:
    """Per chain at most 1.5 times cryptography's own path verification."""
    chain = made(presented, kind)
    us, theirs = microseconds(ours(*chain), cryptographys(*chain))
    with capsys.disabled():
        print(
            f"\n{kind:8} {presented} presented: {us:6.0f} us, cryptography {theirs:6.0f} us,"
            f" ratio {us / theirs:.2f}"
        )
    assert us / theirs <= MAX_RATIO_TO_CRYPTOGRAPHY


def test_many_times_faster_than_openssl(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At least 20 times faster than spawning `openssl verify` for the same chain."""
    pem, root = made(2, "p256")
    for name, content in (("chain.pem", pem), ("root.pem", mint.pem(root))):
        (tmp_path / name).write_bytes(content)
    argv = ["openssl", "verify", "-attime", str(int(mint.NOON.timestamp())), "-CAfile", "root.pem"]
    argv += ["-no-CApath", "-no-CAstore", "-untrusted", "chain.pem", "chain.pem"]
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run(argv, timeout=60, cwd=tmp_path)
        times.append((time.perf_counter() - start) * 1e6)
    (us,) = microseconds(ours(pem, root))
    with capsys.disabled():
        print(
            f"\nopenssl verify: {min(times):.0f} us, ours {us:.0f} us, ratio {min(times) / us:.0f}"
        )
    assert min(times) / us >= MIN_RATIO_TO_OPENSSL


def test_linear_in_the_length_of_the_chain(capsys: pytest.CaptureFixture[str]) -> None:
    """A certificate of a long chain takes no longer than one of a short chain."""
    lengths = (4, 8, 16, 32, 64)
    times = microseconds(*(ours(*made(length, "p256")) for length in lengths))
    each = [us / length for us, length in zip(times, lengths, strict=True)]
    with capsys.disabled():
        print(
            "\nper certificate: "
            + ", ".join(f"{length}: {us:.0f} us" for length, us in zip(lengths, each, strict=True))
        )
    assert max(each) / min(each) <= MAX_GROWTH_PER_CERTIFICATE
