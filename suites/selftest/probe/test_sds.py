"""Envoy's listing of secrets, in the two forms in which the two agents serve a trust bundle."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from fixtures.pki import TrustBundle, UnreadableError, mint
from fixtures.probe.sds import NoSecretError, parse_secrets

ROOT = mint.authority()
OTHER = mint.authority()
LEAF = mint.leaf(mint.intermediate(ROOT), replace(mint.LEAF, serial=0xABC))
ENVOY = "type.googleapis.com/envoy."


def encoded(pem: bytes) -> dict[str, str]:
    return {"inline_bytes": base64.b64encode(pem).decode()}


def certificate(chain: bytes = mint.pem(*LEAF.chain)) -> dict[str, Any]:
    """The workload's own secret; Envoy redacts the key."""
    key = {"inline_bytes": base64.b64encode(b"[redacted]").decode()}
    return {
        "name": "default",
        "secret": {"tls_certificate": {"certificate_chain": encoded(chain), "private_key": key}},
    }


def spiffe_validator(**bundles: bytes) -> dict[str, Any]:
    """The bundles as SPIRE's agent serves them."""
    domains = [{"name": n.replace("_", "."), "trust_bundle": encoded(pem)} for n, pem in bundles.items()]
    config = {
        "@type": f"{ENVOY}extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
        "trust_domains": domains,
    }
    custom = {"name": "envoy.tls.cert_validator.spiffe", "typed_config": config}
    return {"name": "ROOTCA", "secret": {"validation_context": {"custom_validator_config": custom}}}


def trusted_ca(source: dict[str, str]) -> dict[str, Any]:
    """The roots as istiod's agent serves them."""
    return {"name": "ROOTCA", "secret": {"validation_context": {"trusted_ca": source}}}


def dump(*configs: dict[str, Any]) -> str:
    return json.dumps({"configs": [*configs]})


def test_chain_is_read_leaf_first() -> None:
    svid = parse_secrets(dump(certificate(), spiffe_validator(example_org=mint.pem(ROOT.cert))))

    assert svid.chain == LEAF.chain
    assert svid.leaf == LEAF.cert
    assert svid.spiffe_id == mint.WORKLOAD
    assert svid.serial == "0abc"
    assert (svid.not_before, svid.not_after) == (mint.LEAF.not_before, mint.LEAF.not_after)


def test_bundle_is_read_from_a_spiffe_validator() -> None:
    svid = parse_secrets(dump(certificate(), spiffe_validator(example_org=mint.pem(ROOT.cert))))

    assert svid.bundle.same_as(TrustBundle((ROOT.cert,)))
    assert svid.bundle_domains == ("example.org",)


def test_every_root_of_a_bundle_is_read() -> None:
    """While a root is replaced there are two."""
    both = mint.pem(ROOT.cert, OTHER.cert)

    svid = parse_secrets(dump(certificate(), spiffe_validator(example_org=both)))

    assert svid.bundle.same_as(TrustBundle((ROOT.cert, OTHER.cert)))


def test_federated_domains_are_named() -> None:
    bundles = {"example_org": mint.pem(ROOT.cert), "a_test": mint.pem(OTHER.cert)}

    svid = parse_secrets(dump(certificate(), spiffe_validator(**bundles)))

    assert svid.bundle_domains == ("a.test", "example.org")


def test_bundle_is_read_from_plain_roots_without_a_domain() -> None:
    svid = parse_secrets(dump(certificate(), trusted_ca(encoded(mint.pem(ROOT.cert)))))

    assert svid.bundle.same_as(TrustBundle((ROOT.cert,)))
    assert svid.bundle_domains == ()


def test_roots_may_be_given_as_a_text() -> None:
    source = {"inline_string": mint.pem(ROOT.cert).decode()}

    assert parse_secrets(dump(certificate(), trusted_ca(source))).bundle.same_as(TrustBundle((ROOT.cert,)))


def test_warning_before_the_listing_is_left_out() -> None:
    listing = dump(certificate(), spiffe_validator(example_org=mint.pem(ROOT.cert)))

    assert parse_secrets(f"2030-01-01T12:00:00Z\twarn\tsomething\n{listing}").leaf == LEAF.cert


@pytest.mark.parametrize(
    ("configs", "reason"),
    [
        ([], "no certificate among the secrets []"),
        (
            [spiffe_validator(example_org=mint.pem(ROOT.cert))],
            "no certificate among the secrets ['ROOTCA']",
        ),
        ([{"name": "default"}], "no certificate among the secrets ['default']"),
        ([certificate(b"")], "no certificate among the secrets ['default']"),
        ([certificate()], "no trust bundle among the secrets ['default']"),
        ([certificate(), spiffe_validator()], "no trust bundle among the secrets ['ROOTCA', 'default']"),
        (
            [certificate(), spiffe_validator(example_org=b"")],
            "no trust bundle among the secrets ['ROOTCA', 'default']",
        ),
        ([certificate(), trusted_ca({})], "no trust bundle among the secrets ['ROOTCA', 'default']"),
    ],
    ids=[
        "nothing",
        "no-svid",
        "warming",
        "empty-svid",
        "no-bundle",
        "no-domain",
        "empty-bundle",
        "empty-roots",
    ],
)
def test_proxy_without_a_secret_is_told_with_those_it_has(configs: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(NoSecretError) as caught:
        parse_secrets(dump(*configs))

    assert str(caught.value) == reason


def test_listing_without_configs_holds_no_certificate() -> None:
    with pytest.raises(NoSecretError):
        parse_secrets("{}")


def test_certificate_that_is_no_pem_is_unreadable() -> None:
    with pytest.raises(UnreadableError):
        parse_secrets(dump(certificate(b"junk"), trusted_ca(encoded(mint.pem(ROOT.cert)))))
