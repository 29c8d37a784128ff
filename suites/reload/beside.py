"""All that is tried on istiods beside the mesh, at once: they are idle but for the moments of a change."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from fixtures.session import Mesh
from fixtures.stack.beside import namespace_beside, start_istiods
from suites.reload import roots, switch
from suites.reload.roots import Change, Lists, Roots
from suites.reload.switch import Switched


@dataclass(frozen=True)
class Tried:
    """What came of it; the tests judge."""

    switched: Switched
    roots: Roots
    late: Change
    lists: Lists


@contextmanager
def tried_beside(mesh: Mesh) -> Iterator[Tried]:
    """Start the istiods, change their Secrets, and take all away when the block ends.

    Raises:
        NotReadyError: An istiod does not get ready.
    """
    with namespace_beside(mesh.kube):
        started = roots.begin(mesh)
        start_istiods(mesh.kube, [*switch.wanted(mesh), *started.wanted])
        with ThreadPoolExecutor() as pool:
            rooted = pool.submit(roots.change_roots, mesh, started)
            late = pool.submit(roots.come_late, mesh)
            lists = pool.submit(roots.forget_list, mesh, started)
            switched = pool.submit(switch.switch, mesh)
            tried = Tried(switched.result(), rooted.result(), late.result(), lists.result())
        yield tried
