from __future__ import annotations

import sys
from pathlib import Path

from fixtures.cluster.run import run

ROOT = Path(__file__).parents[3]
BEGIN, END = "<!-- tox -e catalogue -- --catalogue=readme -->\n", "<!-- end of the clauses -->"


def test_clauses_of_the_readme_are_those_of_the_catalogue() -> None:
    """Put what the command in the README prints between its two marks."""
    words = ["-m", "pytest", "suites", "--ignore=suites/selftest", "--catalogue=readme"]
    printed = run([sys.executable, *words, "-p", "no:cacheprovider"], timeout=60, cwd=ROOT)
    _, _, rest = (ROOT / "README.md").read_text(encoding="utf-8").partition(BEGIN)
    table, mark, _ = rest.partition(END)

    assert mark
    assert table.strip() == printed.strip()
