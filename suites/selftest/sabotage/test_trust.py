from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from fixtures.pki import TrustBundle, judge_chain, mint, public_key_fingerprint
from fixtures.sabotage.trust import served_from, under_other_root, without_upstream

ROOT = Path(__file__).parents[3]
CONF = (ROOT / "manifests" / "spire" / "server" / "server.conf").read_text(encoding="utf-8")


def test_a_server_without_its_upstream_authority_is_otherwise_the_same() -> None:
    alone = without_upstream(CONF)

    assert "UpstreamAuthority" not in alone
    assert "cert-manager" not in alone
    assert alone.count("{") == alone.count("}")
    assert 'Notifier "k8sbundle"' in alone
    assert "health_checks" in alone


def test_a_server_that_has_no_upstream_authority_is_none_to_break() -> None:
    with pytest.raises(ValueError, match="no upstream authority"):
        without_upstream(without_upstream(CONF))


def test_an_intermediate_under_another_root_keeps_all_that_cert_manager_looks_at() -> None:
    present = mint.intermediate(mint.authority())
    other = mint.authority()

    forged = under_other_root(present.cert, other, mint.NOON - timedelta(hours=1))

    assert public_key_fingerprint(forged) == public_key_fingerprint(present.cert)
    assert forged.subject == present.cert.subject
    assert forged.not_valid_after_utc == present.cert.not_valid_after_utc
    assert judge_chain([forged], TrustBundle((other.cert,)), now=mint.NOON).depth == 2
    assert not judge_chain([forged], TrustBundle((present.root,)), now=mint.NOON).path


@pytest.mark.parametrize(
    ("volume", "secret"),
    [
        ({"name": "a", "secret": {"secretName": "istiod-tls", "optional": True}}, "meshproof-sabotage"),
        ({"name": "b", "secret": {"secretName": "cacerts"}}, "cacerts"),
        ({"name": "c", "emptyDir": {}}, None),
    ],
)
def test_istiod_is_given_another_certificate_and_nothing_else(
    volume: dict[str, object], secret: str | None
) -> None:
    changed = served_from(volume)

    assert (changed.get("secret") or {}).get("secretName") == secret
    assert changed["name"] == volume["name"]
