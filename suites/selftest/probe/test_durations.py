from __future__ import annotations

import pytest

from fixtures.probe.durations import go_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("1m0s", 60),
        ("1h2m3s", 3723),
        ("720h0m0s", 2_592_000),
        ("1.5h", 5400),
        ("500ms", 0.5),
        ("0s", 0),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert go_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "s", "5", "5x3s", "1h 30m", "1day", "10us"])
def test_other_texts_are_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        go_duration(text)
