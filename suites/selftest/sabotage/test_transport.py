from __future__ import annotations

import json

import pytest

from fixtures.sabotage.transport import in_force, rooted, tls_context, validating

LISTENER = {"name": "virtualInbound", "address": 15006}


def dump(version: str, listener: object) -> str:
    state = {"version_info": version, "listener": listener, "last_updated": version}
    return "" + json.dumps({"configs": [{"active_state": state}]})


def test_a_configuration_that_was_told_again_is_the_same() -> None:
    assert in_force(dump("1", LISTENER)) == in_force(dump("2", LISTENER))


def test_another_configuration_is_another() -> None:
    assert in_force(dump("1", LISTENER)) != in_force(dump("1", {**LISTENER, "address": 1}))


def test_a_cluster_is_read_as_a_listener_is() -> None:
    text = json.dumps({"configs": [{"version_info": "1", "cluster": {"name": "a"}}]})

    assert json.loads(in_force(text)) == [{"name": "a"}]


def test_nothing_is_nothing() -> None:
    assert in_force("{}") == "[]"


CONTEXT = {
    "require_client_certificate": True,
    "common_tls_context": {
        "tls_certificate_sds_secret_configs": ["default"],
        "combined_validation_context": {
            "default_validation_context": {"match_subject_alt_names": ["spiffe://example.org/"]},
            "validation_context_sds_secret_config": "ROOTCA",
        },
    },
}


def test_the_tls_context_is_that_of_the_first_chain_that_has_one() -> None:
    chains = [{"name": "plain"}, {"transport_socket": {"typed_config": CONTEXT}}]

    assert tls_context(json.dumps([{"filter_chains": chains}])) == CONTEXT
    with pytest.raises(LookupError, match="TLS"):
        tls_context(json.dumps([{"filter_chains": chains[:1]}]))


def test_a_laxer_validation_keeps_the_rest() -> None:
    combined = validating(CONTEXT, allow_expired_certificate=True)["common_tls_context"][
        "combined_validation_context"
    ]

    assert combined["default_validation_context"] == {
        "match_subject_alt_names": ["spiffe://example.org/"],
        "allow_expired_certificate": True,
    }
    assert combined["validation_context_sds_secret_config"] == "ROOTCA"


def test_roots_of_ones_own_take_the_place_of_spires_bundle() -> None:
    common = rooted(CONTEXT, trusted_ca="root")["common_tls_context"]

    assert common == {
        "tls_certificate_sds_secret_configs": ["default"],
        "validation_context": {"trusted_ca": "root"},
    }
    assert "combined_validation_context" in CONTEXT["common_tls_context"]  # type: ignore[operator]
