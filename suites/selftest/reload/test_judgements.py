"""The judgements of what istiods beside the mesh did: each turns red on a doctored observation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from fixtures.pki import TrustBundle, mint, serial_hex
from fixtures.probe.beside import Seen, Watched
from fixtures.probe.istiod import IstiodPod, LogLine
from fixtures.probe.rotation import LOOKED, RELOAD_LINES, RELOADED
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh
from fixtures.stack.stackfile import Istiod
from suites.reload import test_roots, test_switch
from suites.reload.beside import Tried
from suites.reload.roots import CRL, LATE, MANY, ONE, Change, Lists, Roots
from suites.reload.switch import State, Switched

CHANGED = datetime(2030, 1, 1, 12, tzinfo=UTC)
ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
OLD, NEW = (mint.intermediate(ROOT, replace(mint.INTERMEDIATE, uris=())) for _ in range(2))
NEW_SERIAL = serial_hex(NEW.cert)

SWITCHABLE = Istiod("istio-1.16", "1.16.5", "switchable", "pull", "build")
REMOVED = Istiod("current", "1.31.0", "removed", "pull", "build")
Key = tuple[Istiod, State]
ON: Key = (SWITCHABLE, "true")
OFF: Key = (SWITCHABLE, "false")
GONE: Key = (REMOVED, "false")


@dataclass
class Measured:
    """In place of the mesh: only what is measured of it is kept."""

    kube: None = None
    measurements: dict[str, object] = field(default_factory=dict)

    def measure(self, path: str, value: object) -> None:
        self.measurements[path] = value


def at(seconds: float) -> datetime:
    return CHANGED + timedelta(seconds=seconds)


def seen(ca: mint.Issued, seconds: float, *texts: str, uid: str = "1", level: str = "info") -> Seen:
    chain = (mint.leaf(ca, mint.SERVER).cert, ca.cert, ROOT.cert)
    log = tuple(LogLine(at(seconds), level, text) for text in texts)
    return Seen("one", IstiodPod(f"one-{uid}", uid, 0, "node"), at(3), chain, log, at(seconds))


def reloads() -> Watched:
    return Watched(CHANGED, seen(OLD, -1), seen(NEW, 5, *RELOAD_LINES), at(5))


def stays(*texts: str, level: str = "info") -> Watched:
    before = seen(OLD, -1)
    after = replace(seen(OLD, 20, *texts, level=level), chain=before.chain)
    return Watched(CHANGED, before, after, None)


def switched(**watched: Watched) -> Tried:
    """What three istiods did, as it should be, but for those that are named."""
    kinds = {"on": ON, "off": OFF, "gone": GONE}
    good = {"on": reloads(), "off": stays(), "gone": reloads()} | watched
    restarted = {kinds["off"]: seen(NEW, 25, uid="2")}
    found = Switched(17.5, 5, {kinds[name]: one for name, one in good.items()}, restarted, NEW_SERIAL)
    return replace(NO_ROOTS, switched=found)


def change(one: Watched, many: Watched) -> Change:
    return Change(NEW_SERIAL, {ONE: one, MANY: many})


def refused(line: str = test_roots.ONE_ROOT) -> Watched:
    return stays(LOOKED, line, level="warn")


def taken(line: str = test_roots.TAKES_ROOT) -> Watched:
    return Watched(CHANGED, seen(OLD, -1), seen(NEW, 5, LOOKED, line, RELOADED), at(5))


ROOTS = Roots(
    reordered=change(refused(), taken()),
    superset=change(refused(), taken()),
    subset=change(refused(), taken()),
    foreign=change(refused(), refused(test_roots.NOT_THIS_ROOT)),
    back=change(taken(), refused(test_roots.NOT_THIS_ROOT)),
)
NO_ROOTS = Tried(
    switched=Switched(17.5, 5, {}, {}, NEW_SERIAL),
    roots=ROOTS,
    late=Change(NEW_SERIAL, {LATE: stays()}),
    lists=Lists(Change(NEW_SERIAL, {CRL: stays(LOOKED)}), Change(NEW_SERIAL, {CRL: taken()})),
)


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    monkeypatch.setattr(test_switch, "mesh_root", lambda _: TrustBundle((ROOT.cert,)))
    return cast("Mesh", Measured())


Judge = Callable[[Mesh, Tried], None]
SWITCHES: dict[str, Judge] = {
    "on": test_switch.test_on_reloads,
    "off": test_switch.test_off_does_not_reload_until_it_restarts,
    "gone": test_switch.test_removed_flag_changes_nothing,
}


@pytest.mark.parametrize("name", SWITCHES)
def test_what_should_be_passes(mesh: Mesh, name: str) -> None:
    SWITCHES[name](mesh, switched())


@pytest.mark.parametrize("name", ["on", "gone"])
@pytest.mark.parametrize(
    "watched",
    [
        stays(),
        replace(reloads(), stuck="not within 180 s"),
        replace(reloads(), served=at(18)),
        replace(reloads(), after=seen(NEW, 5, *RELOAD_LINES, uid="2")),
        replace(reloads(), after=seen(NEW, 5, *RELOAD_LINES[:-1])),
        replace(reloads(), before=seen(NEW, -1)),
    ],
    ids=["stays", "stuck", "too-late", "another-pod", "unsaid", "had-it-before"],
)
def test_what_is_no_reload_is_red(mesh: Mesh, name: str, watched: Watched) -> None:
    with pytest.raises(AssertionError):
        SWITCHES[name](mesh, switched(**{name: watched}))


@pytest.mark.parametrize(
    "watched",
    [
        reloads(),
        stays(LOOKED),
        replace(stays(), after=seen(OLD, 8)),
        replace(stays(), after=replace(seen(OLD, 20), mounted=at(-1))),
        replace(stays(), after=seen(OLD, 20, uid="2")),
    ],
    ids=["reloads", "looks", "watched-too-short", "not-mounted", "another-pod"],
)
def test_what_shows_no_switched_off_reload_is_red(mesh: Mesh, watched: Watched) -> None:
    with pytest.raises(AssertionError):
        SWITCHES["off"](mesh, switched(off=watched))


def test_off_that_does_not_reload_at_a_restart_is_red(mesh: Mesh) -> None:
    tried = switched()
    restarted = {OFF: seen(OLD, 25, uid="2")}

    with pytest.raises(AssertionError):
        SWITCHES["off"](mesh, replace(tried, switched=replace(tried.switched, restarted=restarted)))


def test_without_a_look_into_the_node_off_is_unknown(mesh: Mesh) -> None:
    unseen = replace(stays(), after=replace(seen(OLD, 20), mounted=None))

    with pytest.raises(NothingObserved):
        SWITCHES["off"](mesh, switched(off=unseen))


def test_stack_without_such_an_istiod_is_not_supported(mesh: Mesh) -> None:
    with pytest.raises(pytest.skip.Exception, match="NOT_SUPPORTED"):
        SWITCHES["on"](mesh, NO_ROOTS)


def test_roots_as_they_should_be_pass() -> None:
    test_roots.test_reordered_roots(NO_ROOTS)
    test_roots.test_superset_then_subset(NO_ROOTS)


@pytest.mark.parametrize("step", ["reordered", "superset", "subset", "foreign"])
def test_one_root_that_takes_other_roots_is_red(step: str) -> None:
    roots = replace(ROOTS, **{step: change(taken(), getattr(ROOTS, step).watched[MANY])})

    with pytest.raises(AssertionError):
        _judge_roots(roots)


@pytest.mark.parametrize("step", ["reordered", "superset", "subset"])
def test_many_roots_that_refuse_a_known_root_are_red(step: str) -> None:
    with pytest.raises(AssertionError):
        _judge_roots(replace(ROOTS, **{step: change(refused(), refused())}))


@pytest.mark.parametrize("many", [taken(), stays(LOOKED), refused()], ids=["takes", "silent", "other-words"])
def test_many_roots_that_do_not_refuse_a_foreign_root_in_so_many_words_are_red(many: Watched) -> None:
    with pytest.raises(AssertionError):
        _judge_roots(replace(ROOTS, foreign=change(refused(), many)))


def test_roots_of_the_beginning_that_are_not_taken_again_are_red() -> None:
    with pytest.raises(AssertionError):
        _judge_roots(replace(ROOTS, back=change(refused(), refused())))


def test_known_gaps_turn_up_when_they_are_closed() -> None:
    late = Change(NEW_SERIAL, {LATE: taken()})
    lists = replace(NO_ROOTS.lists, stale=Change(NEW_SERIAL, {CRL: taken()}))

    test_roots.test_late_cacerts_are_taken(replace(NO_ROOTS, late=late))
    test_roots.test_stale_crl_does_not_stop_a_rotation(replace(NO_ROOTS, lists=lists))


def test_known_gaps_are_there() -> None:
    for clause in (
        test_roots.test_late_cacerts_are_taken,
        test_roots.test_stale_crl_does_not_stop_a_rotation,
    ):
        with pytest.raises(AssertionError):
            clause(NO_ROOTS)


def test_gap_for_another_reason_is_unknown() -> None:
    never_mounted = Change(NEW_SERIAL, {LATE: replace(stays(), stuck="not within 180 s")})
    lists = replace(NO_ROOTS.lists, right=Change(NEW_SERIAL, {CRL: stays(LOOKED)}))

    with pytest.raises(NothingObserved):
        test_roots.test_late_cacerts_are_taken(replace(NO_ROOTS, late=never_mounted))
    with pytest.raises(NothingObserved):
        test_roots.test_stale_crl_does_not_stop_a_rotation(replace(NO_ROOTS, lists=lists))


def _judge_roots(roots: Roots) -> None:
    tried = replace(NO_ROOTS, roots=roots)
    test_roots.test_reordered_roots(tried)
    test_roots.test_superset_then_subset(tried)
