"""What the attempts of a stranger came to, and how that is judged under each overlay."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fixtures.probe.forgery import bearer, call_as_bearer
from fixtures.probe.stranger import Stranger
from fixtures.probe.wire import Reply
from fixtures.session import Mesh
from suites.wire.bookinfo import PORT, Bookinfo, unique_path
from suites.wire.knocking import TRIED, Knocker


@dataclass(frozen=True)
class Open:
    """A way that stood open.

    Attributes:
        way: Its name.
        what: What was got by it, and how it was seen.
    """

    way: str
    what: str

    def __str__(self) -> str:
        return f"{self.way}: {self.what}"


@dataclass(frozen=True)
class Ground:
    """A stranger, a workload that lets in one caller only, and a client that can reach it.

    Attributes:
        victim: The SPIFFE ID of that caller.
        knocker: It knocks from a pod of the stranger's.
    """

    mesh: Mesh
    stranger: Stranger
    bookinfo: Bookinfo
    knocker: Knocker
    victim: str


def call_with(ground: Ground, secret: str) -> Reply:
    """Call `TRIED` with the certificate and the key in a Secret of the stranger's, from a pod of his."""
    his = ground.stranger
    url = f"https://{ground.bookinfo.address(TRIED)}:{PORT}{unique_path()}"
    with bearer(his.kube, ground.mesh.image("fortio"), namespace=his.namespace, secret=secret) as pod:
        return call_as_bearer(his.own, his.namespace, pod, url)


def judge(ground: Ground, clause: str, found: Sequence[Open], *, gaps: Collection[str] = ()) -> bool:
    """Fail where a way stood open; say whether the known gaps did, where the stack has them.

    The overlay closes those. Without it each of them has to stand open, so that one that is closed is not
    called a gap any longer.

    Args:
        ground: What was attacked.
        clause: What the clause is called in the report's measurements.
        found: The ways that stood open.
        gaps: Those that stand open on the reference stack, by name.
    """
    said = "; ".join(str(one) for one in found)
    ground.mesh.measure(f"issuance.{clause}", said or "no way stood open")
    if not gaps or ground.mesh.raised.overlay != "none":
        assert not found, said
        return False
    ways = {one.way for one in found}
    assert ways <= set(gaps), said
    assert ways >= set(gaps), f"the known gap is closed: {', '.join(sorted(set(gaps) - ways))}"
    return True
