from __future__ import annotations

import pytest

from suites.sabotage.saboteur import together

DEPTH, MTLS, INGRESS = "trust/chain-depth", "wire/mtls-strict", "wire/ingress-serves-spire-identity"
PLAIN, EXPIRED = "wire/plaintext-refused", "wire/expired-refused"
POLICED = "wire/right-root-wrong-service-account-denied"
TTL, LEAF = "identity/ttl-bounds", "identity/leaf-is-leaf"
KEYS, COMING = "identity/key-stays-home", "identity/entry-follows-pod"


@pytest.mark.parametrize(
    ("clauses", "groups"),
    [
        ((), []),
        ((MTLS, DEPTH), [[DEPTH], [MTLS]]),
        ((TTL, LEAF), [[LEAF], [TTL]]),
        ((PLAIN, MTLS, EXPIRED), [[MTLS], [PLAIN, EXPIRED]]),
        ((PLAIN, POLICED, MTLS), [[MTLS], [PLAIN, POLICED]]),
        ((PLAIN, INGRESS, MTLS), [[MTLS], [PLAIN, INGRESS]]),
        ((TTL, COMING, LEAF), [[LEAF], [COMING], [TTL]]),
        ((KEYS, LEAF), [[KEYS, LEAF]]),
        ((KEYS, LEAF, DEPTH), [[LEAF], [KEYS, DEPTH]]),
    ],
    ids=[
        *("none", "profiles", "waiting", "outside-and-within", "policy-from-outside"),
        *("gateway-from-outside", "coming-and-going", "identity", "identity-and-trust"),
    ],
)
def test_what_is_looked_at_at_the_same_time(clauses: tuple[str, ...], groups: list[list[str]]) -> None:
    assert together(clauses) == groups
