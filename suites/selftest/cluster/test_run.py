"""The one place that starts programs; every program here is a real one."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from fixtures.cluster.run import CommandError, background, daemon, end, end_all, run
from suites.selftest.cluster.processes import await_end, await_number, has_ended

# Long enough for a shell to begin, on a busy machine too.
SOON = 0.8
# Starts a child, tells its id in the file that is $0, and waits for it.
WITH_CHILD = 'sleep 60 & echo $! >"$0"; wait'
# Ends when its child does; the child ends when it is asked to, and then writes the file $0.asked.
WITH_CHILD_TO_ASK = """
trap : TERM
sh -c 'trap "echo 1 >$0.asked; exit" TERM; echo 1 >"$0"; sleep 60 & wait' "$0" &
wait; wait
"""
# Like the first, with a child that the first signal does not end.
WITH_STUBBORN_CHILD = """(trap '' TERM; sh -c 'echo $PPID' >"$0"; sleep 60; true) & wait"""


def test_output_is_returned_as_it_was_printed() -> None:
    assert run(["printf", "a\\n b \\n"], timeout=10) == "a\n b \n"


def test_errors_are_no_part_of_the_output() -> None:
    assert run(["sh", "-c", "echo out; echo err >&2"], timeout=10) == "out\n"


def test_output_that_is_no_utf8_is_returned_all_the_same() -> None:
    assert run(["printf", r"a\377b"], timeout=10) == "a\N{REPLACEMENT CHARACTER}b"


def test_no_shell_is_involved() -> None:
    assert run(["echo", "$HOME;ls"], timeout=10) == "$HOME;ls\n"


def test_stdin_is_given_to_the_program() -> None:
    assert run(["cat"], timeout=10, stdin="grüße\n") == "grüße\n"


def test_without_stdin_the_input_is_empty() -> None:
    assert run(["cat"], timeout=10) == ""


def test_a_program_that_reads_nothing_may_get_stdin() -> None:
    assert run(["true"], timeout=10, stdin="x" * 1_000_000) == ""


def test_env_is_added_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "kept")

    assert run(["sh", "-c", "echo $OURS $ADDED"], timeout=10, env={"ADDED": "new"}) == "kept new\n"


def test_cwd_is_the_folder_it_runs_in(tmp_path: Path) -> None:
    assert run(["pwd", "-P"], timeout=10, cwd=tmp_path).strip() == str(tmp_path.resolve())


def test_paths_are_words(tmp_path: Path) -> None:
    assert run(["echo", tmp_path], timeout=10) == f"{tmp_path}\n"


def test_error_carries_command_code_and_both_outputs() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo seen; echo reason >&2; exit 3"], timeout=10)

    error = caught.value
    assert error.argv == ("sh", "-c", "echo seen; echo reason >&2; exit 3")
    assert (error.returncode, error.stdout, error.stderr) == (3, "seen\n", "reason\n")


def test_error_text_can_be_pasted_into_a_shell_and_shows_both_outputs() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo seen; echo reason >&2; exit 3"], timeout=10)

    assert str(caught.value) == ("sh -c 'echo seen; echo reason >&2; exit 3': exit code 3\nseen\nreason")


def test_program_ended_by_a_signal_is_an_error() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "kill -9 $$"], timeout=10)

    assert caught.value.returncode == -9


def test_program_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(CommandError) as caught:
        run(["no-such-program", "x"], timeout=10)

    assert caught.value.returncode is None
    assert "No such file or directory: 'no-such-program'" in str(caught.value)


def test_timeout_keeps_what_was_printed_by_then() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo begun; echo slow >&2; sleep 60"], timeout=SOON)

    error = caught.value
    assert (error.returncode, error.stdout) == (None, "begun\n")
    assert error.stderr.startswith("slow\n")
    assert "did not end" in str(error)


def test_timeout_ends_children_too(tmp_path: Path) -> None:
    with pytest.raises(CommandError):
        run(["sh", "-c", WITH_CHILD, tmp_path / "pid"], timeout=SOON)

    await_end(await_number(tmp_path / "pid"))


def test_timeout_ends_a_child_that_ignores_the_first_signal(tmp_path: Path) -> None:
    with pytest.raises(CommandError):
        run(["sh", "-c", WITH_STUBBORN_CHILD, tmp_path / "pid"], timeout=SOON)

    await_end(await_number(tmp_path / "pid"))


def test_end_kills_a_program_that_ignores_the_first_signal(tmp_path: Path) -> None:
    stubborn = """trap '' TERM; echo $$ >"$0"; sleep 60; true"""
    with background(["sh", "-c", stubborn, tmp_path / "pid"]) as process:
        await_number(tmp_path / "pid")
        end(process, grace=0.1)

        assert process.returncode == -signal.SIGKILL


def test_children_are_asked_before_they_are_made_to_stop(tmp_path: Path) -> None:
    with background(["sh", "-c", WITH_CHILD_TO_ASK, tmp_path / "child"]) as process:
        await_number(tmp_path / "child")
        end(process)

    assert await_number(tmp_path / "child.asked") == 1
    assert process.returncode != -signal.SIGKILL


def test_interrupt_ends_the_program_and_goes_on_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        await_number(tmp_path / "pid")
        main = threading.main_thread().ident
        assert main
        signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(["sh", "-c", WITH_CHILD, tmp_path / "pid"], timeout=20)
    finally:
        signal.signal(signal.SIGINT, before)

    await_end(await_number(tmp_path / "pid"))


def test_interrupt_at_the_terminal_reaches_us_alone() -> None:
    session = run(["sh", "-c", "cut -d' ' -f6 /proc/$$/stat"], timeout=10)

    assert int(session) != os.getsid(0)


def test_end_all_stops_what_other_threads_run(tmp_path: Path) -> None:
    errors: list[CommandError] = []

    def work() -> None:
        try:
            run(["sh", "-c", WITH_CHILD, tmp_path / "pid"], timeout=20)
        except CommandError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    child = await_number(tmp_path / "pid")
    end_all()
    thread.join(20)

    assert [error.returncode for error in errors] == [-signal.SIGTERM]
    await_end(child)


def test_log_gets_both_outputs_and_nothing_is_returned(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")

    assert run(["sh", "-c", "echo out; echo err >&2"], timeout=10, log=log) == ""
    assert log.read_text() == "before\nout\nerr\n"


def test_error_shows_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo the reason; exit 1"], timeout=10, log=tmp_path / "log")

    assert caught.value.stderr == "the reason\n"


def test_background_program_runs_beside_the_block() -> None:
    with background(["sh", "-c", "echo ready; sleep 60"]) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        assert process.poll() is None


def test_background_ends_what_it_started(tmp_path: Path) -> None:
    with background(["sh", "-c", WITH_CHILD, tmp_path / "pid"]) as process:
        child = await_number(tmp_path / "pid")

    assert process.returncode == -signal.SIGTERM
    await_end(child)


def test_background_ends_what_it_started_when_the_block_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with background(["sh", "-c", WITH_CHILD, tmp_path / "pid"]):
            await_number(tmp_path / "pid")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    await_end(await_number(tmp_path / "pid"))


def test_background_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CommandError), background(["no-such-program"]):
        pass


def test_daemon_goes_on_and_writes_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"

    pid = daemon(["sh", "-c", "echo $$; exec sleep 60"], log=log)
    try:
        assert await_number(log) == pid
        assert not has_ended(pid)
    finally:
        run(["kill", str(pid)], timeout=10)
    await_end(pid)


def test_daemon_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError):
        daemon(["no-such-program"], log=tmp_path / "log")
