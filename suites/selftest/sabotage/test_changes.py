from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from fixtures.cluster.kube import Object
from fixtures.sabotage.changes import undoing
from fixtures.sabotage.trace import differences

FOUND: Object = {
    "spec": {"template": {"labels": {"app": "a"}, "containers": [{"name": "x"}]}, "replicas": 2},
    "data": {"key": "value"},
}


def merged(found: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = deepcopy(found) if isinstance(found, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def test_what_a_patch_changed_is_as_it_was_after_the_one_that_undoes_it() -> None:
    patch: Object = {
        "spec": {"replicas": 0, "template": {"labels": {"app": None, "new": "b"}, "containers": []}},
        "data": {"key": "other", "more": "x"},
        "immutable": True,
    }
    changed = merged(FOUND, patch)

    assert changed != FOUND
    assert merged(changed, undoing(FOUND, patch)) == FOUND
    assert json.loads(json.dumps(undoing(FOUND, patch)))["immutable"] is None


def test_what_came_went_or_changed_is_a_trace() -> None:
    assert differences({"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "4", "d": "5"}) == [
        "d was left behind",
        "a is gone",
        "c is not as it was",
    ]
    assert differences({"a": "1"}, {"a": "1"}) == []
