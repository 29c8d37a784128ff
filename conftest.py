"""Options, plugins and the header; the fixtures are in fixtures/session.py."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from fixtures.options import add_options, check_configured
from fixtures.report.catalogue import SLOW, turn

pytest_plugins = ["pytester", "fixtures.report.plugin", "fixtures.session"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that say which mesh is under test."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse wrong options at once."""
    check_configured(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what breaks the mesh after what observes it, and leave out what takes too long for every run."""
    items.sort(key=turn)
    slow = [item for item in items if item.get_closest_marker(SLOW)]
    if slow and config.option.chaos != "all" and config.option.catalogue is None:
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


def pytest_report_header() -> str:
    """Say which libraries judge and reach the mesh."""
    names = ("cryptography", "kubernetes", "chaostoolkit-lib", "pytest-kind")
    return "meshproof: " + ", ".join(f"{name} {version(name)}" for name in names)
