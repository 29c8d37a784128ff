from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from fixtures.pki import TrustBundle, dns_sans, judge_svid, load_pem_chain, mint, uri_sans
from fixtures.probe.identity import leaf_domains, leaf_faults, uri_faults
from fixtures.probe.trust import depth_faults
from fixtures.sabotage import identities, trust
from fixtures.sabotage.planted import (
    Material,
    Mint,
    material_of,
    objects,
    parse_minted,
    proper_profile,
    spiffe_id,
)

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def minted() -> Mint:
    signer = mint.intermediate(mint.authority())
    return Mint(signer, proper_profile(mint.TRUST_DOMAIN, NOW), mint.TRUST_DOMAIN)


def test_without_a_deviation_the_planted_certificate_is_a_right_one() -> None:
    made = minted().material()

    assert judge_svid(
        made.chain, TrustBundle(tuple(made.roots)), now=NOW, trust_domain=mint.TRUST_DOMAIN
    ).valid
    assert uri_sans(made.chain[0]) == ("spiffe://example.org/ns/bookinfo/sa/default",)
    assert uri_sans(made.chain[0]) == (spiffe_id(mint.TRUST_DOMAIN),)
    assert dns_sans(made.chain[0]) == ("meshproof-sabotage.bookinfo.svc",)
    assert made.chain[0].not_valid_after_utc <= NOW + timedelta(minutes=5)


def test_a_deviation_is_in_the_leaf_and_nowhere_else() -> None:
    made = minted()
    bad = made.material(replace(made.leaf, dns=()))

    assert dns_sans(bad.chain[0]) == ()
    assert bad.chain[1:] == made.material().chain[1:]


NAMES = ("meshproof-sabotage.bookinfo.svc",)


def uri(made: Material) -> list[str]:
    return list(uri_faults(made.chain[0]))


def leaf(made: Material) -> list[str]:
    return list(leaf_faults(made.chain[0]))


def names(made: Material) -> list[str]:
    return [] if dns_sans(made.chain[0]) == NAMES else ["other names"]


def domain(made: Material) -> list[str]:
    return sorted(leaf_domains(made.chain[0]) - {mint.TRUST_DOMAIN})


def path(made: Material) -> list[str]:
    verdict = judge_svid(made.chain, TrustBundle(tuple(made.roots)), now=NOW, trust_domain=mint.TRUST_DOMAIN)
    return [str(one) for one in verdict.mismatches]


def depth(made: Material) -> list[str]:
    bundle = TrustBundle(tuple(made.roots))
    return depth_faults(made.chain, judge_svid(made.chain, bundle, now=NOW, trust_domain=mint.TRUST_DOMAIN))


def roots(made: Material) -> list[str]:
    return [] if len(made.roots) == 1 else ["another root"]


@pytest.mark.parametrize(
    ("deviate", "judge"),
    [
        (identities.two_ids, uri),
        (identities.shouted_domain, uri),
        (identities.other_domain, domain),
        (identities.other_names, names),
        (identities.expired, path),
        (identities.for_servers, leaf),
        (identities.authority_as_leaf, leaf),
        (trust.missing_intermediate, path),
        (trust.missing_intermediate, depth),
        (trust.wrong_order, path),
        (trust.one_authority_more, depth),
        (trust.root_sent_along, depth),
        (trust.forged_signature, path),
        (trust.stale_bundle, roots),
    ],
)
def test_what_is_planted_is_red_by_what_it_is_planted_for(
    deviate: Callable[[Mint], Material], judge: Callable[[Material], list[str]]
) -> None:
    assert judge(minted().material()) == []
    assert judge(deviate(minted())) != []


def test_the_files_are_those_that_istios_agent_reads_and_lie_in_a_secret_of_the_pod() -> None:
    made = minted().material()
    secret, pod = yaml.safe_load_all(yaml.safe_dump_all(objects(made)))

    files = {name: base64.b64decode(content) for name, content in secret["data"].items()}
    assert load_pem_chain(files["cert-chain.pem"]) == tuple(made.chain)
    assert load_pem_chain(files["root-cert.pem"]) == tuple(made.roots)
    assert files["key.pem"] == made.key_pem
    assert pod["spec"]["volumes"][0]["secret"]["secretName"] == secret["metadata"]["name"]
    (mount,) = pod["spec"]["containers"][0]["volumeMounts"]
    assert mount["mountPath"].endswith("/workload-spiffe-credentials")


def test_a_pod_that_is_given_nothing_has_no_files() -> None:
    (pod,) = objects(None)

    assert "volumes" not in str(pod)
    assert pod["metadata"]["labels"]["spiffe.io/spire-managed-identity"] == "true"  # type: ignore[index]


def test_what_spires_server_mints_is_read_from_what_it_prints() -> None:
    made = material_of(mint.leaf(mint.intermediate(mint.authority())))
    printed = (
        f"X509-SVID:\n{mint.pem(*made.chain).decode()}\n"
        f"Private key:\n{made.key_pem.decode()}\nRoot CAs:\n{mint.pem(*made.roots).decode()}\n"
    )

    assert parse_minted(printed) == Material(tuple(made.chain), made.key_pem, tuple(made.roots))


def test_what_is_no_svid_that_was_minted_is_refused() -> None:
    with pytest.raises(ValueError, match="substring"):
        parse_minted("could not mint")
