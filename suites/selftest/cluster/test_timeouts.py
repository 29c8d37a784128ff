from __future__ import annotations

from dataclasses import asdict

import pytest

from fixtures.cluster.failures import UsageError
from fixtures.cluster.timeouts import Timeouts, timeouts, variable

SCALE = "MESHPROOF_TIMEOUT_SCALE"


def test_without_a_scale_the_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SCALE, raising=False)

    assert timeouts() == Timeouts()


def test_scale_multiplies_every_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCALE, "2.5")

    scaled = asdict(timeouts())
    assert scaled == {name: seconds * 2.5 for name, seconds in asdict(Timeouts()).items()}


def test_one_timeout_may_be_scaled_on_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCALE, "2")
    monkeypatch.setenv("MESHPROOF_TIMEOUT_SCALE_LOG_LINE", "0.25")

    assert (timeouts().log_line, timeouts().command) == (30, 120)
    assert variable("log_line") == "MESHPROOF_TIMEOUT_SCALE_LOG_LINE"


def test_a_scale_of_no_timeout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHPROOF_TIMEOUT_SCALE_LOGLINE", "2")

    with pytest.raises(UsageError, match=r"^no such timeout: MESHPROOF_TIMEOUT_SCALE_LOGLINE; there are "):
        timeouts()


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "nan", "inf"])
def test_a_scale_that_is_no_number_above_zero_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCALE, text)

    with pytest.raises(UsageError) as caught:
        timeouts()

    assert str(caught.value) == f"MESHPROOF_TIMEOUT_SCALE must be a number above 0, not {text!r}"


@pytest.mark.parametrize("name", sorted(asdict(Timeouts())))
def test_every_default_is_above_zero(name: str) -> None:
    assert asdict(Timeouts())[name] > 0
