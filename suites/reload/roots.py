"""What istiods make of other roots, of a Secret that comes late and of a revocation list that does not fit.

On istiods beside the mesh, with roots of our own: on the mesh itself a new root would end the mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fixtures.cluster.timeouts import timeouts
from fixtures.pki import mint
from fixtures.probe import istiod
from fixtures.probe.beside import Seen, Watched, look, watch
from fixtures.probe.material import Files, Signer, tls_files, write_secret
from fixtures.probe.rotation import LOOKED, REFUSALS, RELOADED, kubelet_sync_seconds
from fixtures.session import Mesh
from fixtures.stack.beside import NAMESPACE, Beside
from suites.reload.plugged import new_root, new_signer, with_crl

ONE, MANY, LATE, CRL = "one-root", "many-roots", "late", "crl"


@dataclass(frozen=True)
class Started:
    """What the Secrets of these istiods began with.

    Attributes:
        wanted: What to start.
        roots: Of all of them but the late one.
        listed: The intermediate with a revocation list.
    """

    wanted: tuple[Beside, ...]
    roots: tuple[mint.Issued, mint.Issued]
    listed: Signer


@dataclass(frozen=True)
class Change:
    """A change of a Secret, as each istiod took it.

    Attributes:
        new: The serial of the intermediate that came with it.
        watched: By the name of the istiod.
    """

    new: str
    watched: Mapping[str, Watched]

    def taken(self, name: str, line: str = "") -> None:
        """Demand that an istiod took it."""
        watched = self.watched[name]
        assert not watched.stuck, watched.stuck
        assert self.new in watched.after.serials, str(watched.after)
        assert watched.after.logged(RELOADED), str(watched.after)
        assert watched.after.logged(line), str(watched.after)
        assert watched.untouched

    def refused(self, name: str, level: str, line: str) -> None:
        """Demand that an istiod refused it with a line of its log, and serves what it did."""
        watched = self.watched[name]
        assert not watched.stuck, watched.stuck
        assert watched.after.logged(LOOKED), str(watched.after)
        # It may look twice at one change.
        levels = {one.level for one in watched.after.log if one.text.startswith(line)}
        assert levels == {level}, str(watched.after)
        assert watched.after.serials == watched.before.serials, str(watched.after)
        assert watched.untouched


@dataclass(frozen=True)
class Roots:
    """Changes of the roots, one after the other, on a Secret that two istiods have.

    Attributes:
        reordered: The same two roots in the other order.
        superset: A third root more, and an intermediate under that one.
        subset: Only that third root is left.
        foreign: Only a root that nobody knows.
        back: The roots of the beginning.
    """

    reordered: Change
    superset: Change
    subset: Change
    foreign: Change
    back: Change


@dataclass(frozen=True)
class Lists:
    """An intermediate that comes first with the list of the one before it, then with its own."""

    stale: Change
    right: Change


def begin(mesh: Mesh) -> Started:
    """Make the Secrets, and return what to start on them: four istiods of this stack's version."""
    image, a, b = mesh.image("pilot"), new_root("a"), new_root("b")
    _write(mesh, "roots", tls_files(new_signer(a, "begin", a, b)))
    listed = new_signer(a, "listed")
    _write(mesh, CRL, with_crl(listed, listed))
    wanted = (
        Beside(ONE, image, "roots"),
        Beside(MANY, image, "roots", {"ISTIO_MULTIROOT_MESH": "true"}),
        Beside(LATE, image, LATE),
        Beside(CRL, image, CRL),
    )
    return Started(wanted, (a, b), listed)


def change_roots(mesh: Mesh, started: Started) -> Roots:
    """Change the roots again and again, each time with a new intermediate, and watch both istiods."""
    (a, b), c, d = started.roots, new_root("c"), new_root("d")

    def change(root: mint.Issued, name: str, *bundle: mint.Issued) -> Change:
        signer = new_signer(root, name, *bundle)
        return _change(mesh, "roots", tls_files(signer), signer, (ONE, MANY), _judged)

    return Roots(
        reordered=change(a, "reordered", b, a),
        superset=change(c, "superset", a, b, c),
        subset=change(c, "subset", c),
        foreign=change(d, "foreign", d),
        back=change(a, "back", a, b),
    )


def come_late(mesh: Mesh) -> Change:
    """Make the Secret of the istiod that began without one, and watch it for some sync periods."""
    signer = new_signer(new_root("late"), "late")
    return _change(mesh, LATE, tls_files(signer), signer, (LATE,), _mounted_for(mesh))


def forget_list(mesh: Mesh, started: Started) -> Lists:
    """Bring a new intermediate with the list of the old one, and then with its own."""
    # Under the root of before: another root would be refused for that.
    signer = new_signer(started.roots[0], "forgotten list")
    return Lists(
        stale=_change(mesh, CRL, with_crl(signer, started.listed), signer, (CRL,), _judged),
        right=_change(mesh, CRL, with_crl(signer, signer), signer, (CRL,), _judged),
    )


def _write(mesh: Mesh, secret: str, files: Files) -> datetime:
    return write_secret(mesh.kube, files, namespace=NAMESPACE, name=secret)


def _change(
    mesh: Mesh,
    secret: str,
    files: Files,
    signer: Signer,
    names: tuple[str, ...],
    done: Callable[[datetime], Callable[[Seen], bool]],
) -> Change:
    """Change a Secret, and watch the istiods that have it."""
    engine = mesh.raised.engine
    changed = datetime.now(UTC)

    def read() -> dict[str, Seen]:
        return {name: look(mesh.kube, NAMESPACE, name, engine, since=changed) for name in names}

    before = read()
    changed = _write(mesh, secret, files)
    new, timeout = signer.serial, timeouts().kubelet_sync
    return Change(new, watch(read, before, done(changed), changed=changed, new=new, timeout=timeout))


def _judged(changed: datetime) -> Callable[[Seen], bool]:
    """Say whether istiod has said what it makes of a change."""
    return lambda seen: seen.judged(changed, RELOADED, *REFUSALS)


def _mounted_for(mesh: Mesh) -> Callable[[datetime], Callable[[Seen], bool]]:
    """Say whether an istiod had the change in its volume for some sync periods."""
    patience = timedelta(seconds=2 * kubelet_sync_seconds(mesh.kube, istiod.istiod_pod(mesh.kube)))

    def since(changed: datetime) -> Callable[[Seen], bool]:
        return lambda seen: bool(
            seen.mounted and seen.mounted > changed and seen.at - seen.mounted >= patience
        )

    return since
