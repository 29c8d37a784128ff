from __future__ import annotations

import pytest

from fixtures.cluster.kube import Object
from fixtures.probe.spire import Entry
from fixtures.sabotage.identities import is_entry

MANIFEST: Object = {
    "spec": {
        "spiffeID": "spiffe://example.org/a",
        "parentID": "spiffe://example.org/p",
        "selectors": ["x:1", "y:2"],
    }
}
ENTRY = Entry("1", "spiffe://example.org/a", "spiffe://example.org/p", ("x:1", "y:2"), ())


def test_an_entry_is_known_by_what_was_asked_for() -> None:
    assert is_entry(ENTRY, MANIFEST)


@pytest.mark.parametrize(
    "other",
    [
        Entry("1", "spiffe://example.org/b", ENTRY.parent_id, ENTRY.selectors, ()),
        Entry("1", ENTRY.spiffe_id, "spiffe://example.org/q", ENTRY.selectors, ()),
        Entry("1", ENTRY.spiffe_id, ENTRY.parent_id, ("x:1",), ()),
    ],
    ids=["id", "parent", "selectors"],
)
def test_another_entry_is_not_taken_for_it(other: Entry) -> None:
    assert not is_entry(other, MANIFEST)
