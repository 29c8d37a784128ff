from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.report.__main__ import main
from fixtures.report.schema import schema

PUBLISHED = Path(__file__).parents[3] / "schemas" / "conformance-report-v1alpha1.json"


def test_published_schema_is_that_of_the_model() -> None:
    """Write it anew with `python -m fixtures.report schema > schemas/...`."""
    assert PUBLISHED.read_text(encoding="utf-8") == schema()


def test_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == schema()


def test_schema_refuses_unknown_keys_and_names_them_as_the_document_does() -> None:
    document = json.loads(schema())
    parts = [document, *(part for part in document["$defs"].values() if part.get("type") == "object")]

    assert all(part["additionalProperties"] is False for part in parts)
    assert {"apiVersion", "verdict", "clauses", "profiles"} <= document["properties"].keys()
    assert {"verdict", "run", "stack", "clauses", "measurements"} <= set(document["required"])
