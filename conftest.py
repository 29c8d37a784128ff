"""Options, plugins and the header; the fixtures are in fixtures/session.py."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

import pytest

from fixtures.options import add_options, check_configured
from fixtures.report.catalogue import turn
from fixtures.selection import left_out

pytest_plugins = ["pytester", "fixtures.report.plugin", "fixtures.session"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that say which mesh is under test."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse wrong options at once."""
    check_configured(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what breaks the mesh after what observes it, and leave out what the options do not ask for."""
    items.sort(key=turn)
    if others := left_out(config, items, datetime.now(UTC).date()):
        items[:] = [item for item in items if item not in others]
        config.hook.pytest_deselected(items=others)


def pytest_report_header() -> str:
    """Say which libraries judge and reach the mesh."""
    names = ("cryptography", "kubernetes", "chaostoolkit-lib", "pytest-kind")
    return "meshproof: " + ", ".join(f"{name} {version(name)}" for name in names)
