"""Real processes: whether they live, and how to wait for what they do."""

from __future__ import annotations

from pathlib import Path

from fixtures.cluster.wait import wait_for


def has_ended(pid: int) -> bool:
    """Say whether a process is gone, or a zombie that nobody has asked for yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def await_end(pid: int) -> None:
    """Wait until a process has ended."""
    wait_for(lambda: has_ended(pid), bool, condition=f"process {pid} has ended", timeout=20, delay=0.02)


def await_number(path: Path) -> int:
    """Wait until a process has written a line with a number, such as its id, and return it."""
    text = wait_for(
        lambda: path.read_text() if path.exists() else "",
        lambda seen: seen.endswith("\n"),
        condition=f"{path.name} is written",
        timeout=20,
        delay=0.02,
    )
    return int(text)
