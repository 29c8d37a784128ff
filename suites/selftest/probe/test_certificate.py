from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.x509.oid import NameOID

from fixtures.pki import mint
from fixtures.probe.certificate import is_ca, key_kind, parse_state, spec_faults, undo, wanted_key

SPEC: dict[str, Any] = {
    "duration": "1440h0m0s",
    "commonName": "istiod",
    "dnsNames": ["istiod.istio-system.svc"],
    "isCA": True,
    "issuerRef": {"name": "selfsigned-ca"},
}
PROFILE = replace(
    mint.INTERMEDIATE,
    subject=((NameOID.COMMON_NAME, "istiod"),),
    not_before=mint.NOON,
    not_after=mint.NOON + timedelta(hours=1440),
    uris=(),
    dns=("istiod.istio-system.svc",),
)
ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
KEY = mint.new_key("rsa")


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (SPEC, SPEC),
        ({**SPEC, "duration": "1h"}, SPEC),
        ({**SPEC, "privateKey": {"algorithm": "ECDSA"}}, SPEC),
        (SPEC, {**SPEC, "privateKey": {"algorithm": "ECDSA"}}),
        ({"issuerRef": {"name": "a", "kind": "b"}}, {"issuerRef": {"name": "c", "group": "d"}}),
        ({"dnsNames": ["a"]}, {"dnsNames": ["b", "c"]}),
    ],
)
def test_undo_leads_back(now: dict[str, Any], before: dict[str, Any]) -> None:
    def merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
        result = dict(target)
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            elif isinstance(value, dict):
                kept = result.get(key)
                result[key] = merged(kept if isinstance(kept, dict) else {}, value)
            else:
                result[key] = value
        return result

    assert merged(now, undo(now, before)) == before


def test_nothing_is_undone_where_nothing_was_done() -> None:
    assert undo(SPEC, SPEC) == {}


def test_certificate_as_the_spec_asks_for_has_no_fault() -> None:
    assert spec_faults(SPEC, mint.intermediate(ROOT, PROFILE, key=KEY).cert) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("duration", "720h0m0s"),
        ("commonName", "another"),
        ("subject", {"organizations": ["meshproof"]}),
        ("dnsNames", ["another"]),
        ("isCA", False),
        ("privateKey", {"algorithm": "ECDSA"}),
        ("privateKey", {"size": 4096}),
    ],
)
def test_every_field_of_the_spec_is_compared(field: str, value: object) -> None:
    (fault,) = spec_faults({**SPEC, field: value}, mint.intermediate(ROOT, PROFILE, key=KEY).cert)

    assert fault.startswith("organizations" if field == "subject" else field)


@pytest.mark.parametrize(
    ("kind", "named"),
    [("rsa", "RSA 2048"), ("p256", "ECDSA 256"), ("p384", "ECDSA 384"), ("ed25519", "Ed25519")],
)
def test_keys_are_named_as_specs_name_them(kind: mint.KeyKind, named: str) -> None:
    algorithm, _, size = named.partition(" ")
    key = {"algorithm": algorithm, **({"size": int(size)} if size else {})}

    assert key_kind(mint.intermediate(ROOT, key=mint.new_key(kind)).cert) == named
    assert wanted_key({"privateKey": key}) == named


def test_defaults_of_keys_are_those_of_cert_manager() -> None:
    assert wanted_key({}) == "RSA 2048"
    assert wanted_key({"privateKey": {"algorithm": "ECDSA"}}) == "ECDSA 256"


def test_only_a_ca_is_one() -> None:
    assert is_ca(ROOT.cert)
    assert not is_ca(mint.leaf(ROOT).cert)
    assert not is_ca(mint.leaf(ROOT, replace(mint.LEAF, ca=None)).cert)


def certificate(generation: int, **ready: object) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True", "observedGeneration": 2, **ready}]
    return {"metadata": {"generation": generation}, "spec": SPEC, "status": {"conditions": conditions}}


def request(issuer: str, status: str) -> dict[str, Any]:
    condition = {"type": "Ready", "status": status, "reason": "Pending", "message": f"{issuer} not found"}
    return {"spec": {"issuerRef": {"name": issuer}}, "status": {"conditions": [condition]}}


def test_certificate_is_settled_by_the_spec_of_now_only() -> None:
    assert parse_state(certificate(2), []).settled
    assert not parse_state(certificate(3), []).settled
    assert not parse_state(certificate(2, status="False"), []).settled
    assert not parse_state({**certificate(2), "status": {}}, []).settled


def test_certificate_that_is_being_issued_is_not_settled() -> None:
    found = certificate(2)
    found["status"]["conditions"].append({"type": "Issuing", "status": "True"})

    assert not parse_state(found, []).settled


def test_requests_in_the_way_are_those_of_this_issuer() -> None:
    requests = [
        request("selfsigned-ca", "False"),
        request("other", "False"),
        request("selfsigned-ca", "True"),
    ]

    assert parse_state(certificate(2), requests).requests == ("selfsigned-ca not found",)
