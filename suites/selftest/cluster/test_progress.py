from __future__ import annotations

import re

import pytest

from fixtures.cluster.progress import Progress


def test_every_line_begins_with_the_time_since_the_start() -> None:
    lines: list[str] = []

    Progress(lines.append).line("hello")

    assert lines == ["[  0:00] hello"]


def test_phase_says_begin_and_duration_and_keeps_the_latter() -> None:
    lines: list[str] = []
    progress = Progress(lines.append)

    with progress.phase("dig"):
        pass

    assert [line[9:] for line in lines] == ["dig ...", "dig done in 0.0 s"]
    assert progress.seconds == {"dig": 0.0}


def test_failed_phase_says_why_in_one_line_and_raises() -> None:
    lines: list[str] = []
    progress = Progress(lines.append)

    with pytest.raises(OSError), progress.phase("dig"):
        raise OSError("no shovel\nnor anything else")

    assert re.fullmatch(r"dig failed after 0 s: no shovel", lines[-1][9:])
    assert progress.seconds == {}


def test_interrupted_phase_says_so() -> None:
    lines: list[str] = []

    with pytest.raises(KeyboardInterrupt), Progress(lines.append).phase("dig"):
        raise KeyboardInterrupt

    assert lines[-1].endswith("dig failed after 0 s: KeyboardInterrupt")
