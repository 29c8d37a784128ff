"""Everything in this folder happens under load, while every proxy is sampled."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.rotation.sampling import sampled_from_the_start, samples
from suites.under_load import judge_loads_last, traffic

__all__ = ["sampled_from_the_start", "samples", "traffic"]  # fixtures of all tests of this folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the judgement of the loads last."""
    judge_loads_last(items, Path(__file__).parent)
