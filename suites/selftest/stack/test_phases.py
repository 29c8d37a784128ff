from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.cluster.progress import Progress
from fixtures.cluster.run import CommandError, run
from fixtures.cluster.wait import wait_for
from fixtures.stack.phases import Phase, run_phases
from suites.selftest.cluster.processes import await_number


@pytest.fixture
def progress() -> Progress:
    return Progress(lambda _: None)


def nothing() -> None:
    pass


def note(done: list[str], name: str) -> Callable[[], None]:
    return lambda: done.append(name)


def test_phases_run_after_those_that_they_wait_for(progress: Progress) -> None:
    done: list[str] = []
    phases = [
        Phase("roof", note(done, "roof"), ("walls",)),
        Phase("walls", note(done, "walls"), ("floor",)),
        Phase("floor", note(done, "floor")),
    ]

    run_phases(phases, progress)

    assert done == ["floor", "walls", "roof"]


def test_phase_waits_for_all_that_it_names(progress: Progress) -> None:
    done: list[str] = []
    fast = threading.Event()

    def slow() -> None:
        assert fast.wait(20)
        done.append("slow")

    def quick() -> None:
        done.append("quick")
        fast.set()

    phases = [
        Phase("last", note(done, "last"), ("slow", "quick")),
        Phase("slow", slow),
        Phase("quick", quick),
    ]
    run_phases(phases, progress)

    assert done == ["quick", "slow", "last"]


def test_phases_that_do_not_wait_run_at_once(progress: Progress) -> None:
    together = threading.Barrier(2, timeout=20)

    def meet() -> None:
        together.wait()

    run_phases([Phase("one", meet), Phase("two", meet)], progress)

    assert not together.broken


def test_no_phase_is_fine(progress: Progress) -> None:
    run_phases([], progress)


def test_durations_are_kept_by_phase(progress: Progress) -> None:
    run_phases([Phase("a", nothing), Phase("b", nothing, ("a",))], progress)

    assert list(progress.seconds) == ["a", "b"]


def test_error_of_a_phase_is_raised_as_it_is(progress: Progress) -> None:
    error = OSError("no wood")

    def fail() -> None:
        raise error

    with pytest.raises(OSError) as caught:
        run_phases([Phase("walls", fail)], progress)

    assert caught.value is error


def test_nothing_begins_after_a_failure(progress: Progress) -> None:
    done: list[str] = []

    def fail() -> None:
        raise OSError

    with pytest.raises(OSError):
        run_phases([Phase("walls", fail), Phase("roof", note(done, "roof"), ("walls",))], progress)

    assert done == []


def test_programs_under_way_are_stopped_by_a_failure(progress: Progress, tmp_path: Path) -> None:
    errors: list[CommandError] = []

    def slow() -> None:
        try:
            run(["sh", "-c", 'echo $$ >"$0"; sleep 60', tmp_path / "pid"], timeout=60)
        except CommandError as error:
            errors.append(error)
            raise

    def fail() -> None:
        await_number(tmp_path / "pid")
        raise OSError("no wood")

    with pytest.raises(OSError, match="no wood"):
        run_phases([Phase("slow", slow), Phase("fail", fail)], progress)

    assert [error.returncode for error in errors] == [-15]


def test_phase_that_waits_for_an_unknown_one_is_refused_before_any_runs(progress: Progress) -> None:
    done: list[str] = []
    phases = [Phase("floor", note(done, "floor")), Phase("roof", nothing, ("walls",))]

    with pytest.raises(ValueError, match=r"phase 'roof' waits for \['walls'\], which is not there"):
        run_phases(phases, progress)

    assert done == []


@pytest.mark.parametrize("after", [("a",), ("b",)])
def test_phases_that_wait_for_each_other_are_refused_before_any_runs(
    after: tuple[str, ...], progress: Progress
) -> None:
    done: list[str] = []
    phases = [Phase("first", note(done, "first")), Phase("a", nothing, after), Phase("b", nothing, ("a",))]

    with pytest.raises(ValueError, match=r"phases wait for each other: \['a', 'b'\]"):
        run_phases(phases, progress)

    assert done == []


def test_a_failure_ends_the_waits_of_other_phases() -> None:
    waiting = threading.Event()

    def wait_long() -> None:
        def observe() -> bool:
            waiting.set()
            return False

        wait_for(observe, bool, condition="something that never comes", timeout=60, delay=30)

    def fail() -> None:
        assert waiting.wait(10)
        raise RuntimeError("broken")

    begin = time.monotonic()
    with pytest.raises(RuntimeError, match="broken"):
        run_phases([Phase("waits", wait_long), Phase("fails", fail)], Progress(lambda _: None))

    assert time.monotonic() - begin < 10
