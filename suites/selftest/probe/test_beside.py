from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fixtures.cluster.run import CommandError
from fixtures.pki import mint, serial_hex
from fixtures.probe.beside import Seen, Watched, watch
from fixtures.probe.istiod import IstiodPod, LogLine

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
OLD, NEW = mint.intermediate(ROOT), mint.intermediate(ROOT)


def seen(ca: mint.Issued, seconds: float = 0, *, uid: str = "1", log: tuple[str, ...] = ()) -> Seen:
    at = AT + timedelta(seconds=seconds)
    lines = tuple(LogLine(at, "info", text) for text in log)
    return Seen(
        "one", IstiodPod("one-abc", uid, 0, "node"), None, (mint.leaf(ca).cert, ca.cert, ROOT.cert), lines, at
    )


def watched(*sights: Seen | Exception, done: int = 1, timeout: float = 5) -> Watched:
    """Watch one istiod through a list of sights; it is done at the one with that number."""
    left = list(sights)

    def read() -> Mapping[str, Seen]:
        sight = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(sight, Exception):
            raise sight
        return {"one": sight}

    before = {"one": seen(OLD)}
    return watch(
        read,
        before,
        lambda now: now.at >= AT + timedelta(seconds=done),
        changed=AT,
        new=serial_hex(NEW.cert),
        timeout=timeout,
    )["one"]


def test_first_sight_of_the_new_intermediate_counts() -> None:
    result = watched(seen(OLD, 1), seen(NEW, 2), seen(NEW, 3), done=3)

    assert result.served_seconds == 2
    assert result.after.at == AT + timedelta(seconds=3)
    assert result.untouched
    assert not result.stuck


def test_one_that_keeps_the_old_is_never_served() -> None:
    result = watched(seen(OLD, 1), done=1)

    assert result.served is None
    assert result.served_seconds is None


def test_refused_connection_is_one_more_sight() -> None:
    error = CommandError(("kubectl",), 1, "", "connection refused")

    assert watched(error, seen(NEW, 1)).served_seconds == 1


def test_time_over_says_what_is_still_awaited() -> None:
    result = watched(seen(OLD, 0, log=("Update Istiod cacerts",)), done=1, timeout=0.5)

    assert "one took the change of their Secret" in result.stuck
    assert "Update Istiod cacerts" in result.stuck


@pytest.mark.parametrize("uid", ["1", "2"])
def test_another_pod_is_no_reload(uid: str) -> None:
    assert watched(seen(NEW, 1, uid=uid)).untouched == (uid == "1")


def test_log_is_searched_by_a_part_of_a_line() -> None:
    assert [line.text for line in seen(OLD, log=("a b", "c")).logged("b")] == ["a b"]


def test_what_is_logged_before_the_kubelet_brought_the_change_is_no_judgement_of_it() -> None:
    looked = seen(OLD, 5, log=("Failed to update",))

    assert not looked.judged(AT, "Failed")
    assert not replace(looked, mounted=AT + timedelta(seconds=6)).judged(AT, "Failed")
    assert not replace(looked, mounted=AT - timedelta(seconds=1)).judged(AT, "Failed")
    assert replace(looked, mounted=AT + timedelta(seconds=5)).judged(AT, "Failed")
    assert not replace(looked, mounted=AT + timedelta(seconds=5)).judged(AT, "reloaded")
