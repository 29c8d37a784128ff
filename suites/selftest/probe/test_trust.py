"""The judgement of trust: what is right passes, and each break is named."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from fixtures.cluster.kube import Object
from fixtures.pki import TrustBundle, judge_svid, mint
from fixtures.probe.trust import (
    Injector,
    OpensslVerdict,
    bundle_faults,
    ca_faults,
    depth_faults,
    injector_faults,
    istiod_faults,
    outliving_faults,
    parse_agent_answer,
    stale_requests,
    verifier_faults,
)

ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
OTHER_ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
ROOTS = TrustBundle((ROOT.cert,))
OTHER_ROOTS = TrustBundle((OTHER_ROOT.cert,))
CA = mint.intermediate(ROOT)
LEAF = mint.leaf(CA)
CA_TTL = timedelta(hours=14)

CACERTS = mint.intermediate(ROOT, replace(mint.INTERMEDIATE, uris=(), dns=("istiod.istio-system.svc",)))
SERVER = mint.leaf(CACERTS, mint.SERVER)
SERVED = (*SERVER.chain, ROOT.cert)
HOST = "istiod.istio-system.svc"


def test_leaf_and_ca_below_the_root_have_the_right_depth() -> None:
    verdict = judge_svid(LEAF.chain, ROOTS, now=mint.NOON)
    assert depth_faults(LEAF.chain, verdict) == []


def test_a_ca_more_is_a_wrong_depth() -> None:
    leaf = mint.leaf(mint.intermediate(CA))
    verdict = judge_svid(leaf.chain, ROOTS, now=mint.NOON)
    assert depth_faults(leaf.chain, verdict) == [
        "presents 3 certificates, not 2",
        "has depth 4 with the root, not 3",
    ]


def test_a_leaf_of_the_root_is_a_wrong_depth() -> None:
    leaf = mint.leaf(ROOT)
    verdict = judge_svid(leaf.chain, ROOTS, now=mint.NOON)
    assert depth_faults(leaf.chain, verdict) == [
        "presents 1 certificates, not 2",
        "has depth 2 with the root, not 3",
    ]


def test_two_verifiers_that_agree_are_content() -> None:
    verdict = judge_svid(LEAF.chain, ROOTS, now=mint.NOON)
    assert verifier_faults(LEAF.chain, verdict, OpensslVerdict(3)) == []


def test_a_verifier_that_disagrees_is_a_fault() -> None:
    verdict = judge_svid(LEAF.chain, ROOTS, now=mint.NOON)
    found = verifier_faults(LEAF.chain, verdict, OpensslVerdict(0, "certificate has expired"))
    assert found == [
        "openssl refuses it: certificate has expired",
        "the verifiers disagree: valid to ours, the contrary to openssl",
    ]


def test_both_verifiers_may_refuse() -> None:
    verdict = judge_svid(LEAF.chain, OTHER_ROOTS, now=mint.NOON)
    found = verifier_faults(LEAF.chain, verdict, OpensslVerdict(0, "unable to get local issuer"))
    assert len(found) == 2
    assert "disagree" not in " ".join(found)


def test_a_certificate_too_many_is_found_by_both() -> None:
    chain = (*LEAF.chain, mint.intermediate(ROOT).cert)
    verdict = judge_svid(chain, ROOTS, now=mint.NOON)
    found = verifier_faults(chain, verdict, OpensslVerdict(3))
    assert "takes no part in the path" in found[0]
    assert found[1] == "openssl uses 3 of 3 certificates and the root"


def test_spires_ca_is_as_it_must_be() -> None:
    assert ca_faults(CA.cert, ROOT.cert, trust_domain="example.org", ca_ttl=CA_TTL) == []


@pytest.mark.parametrize(
    ("deviation", "fault"),
    [
        pytest.param({"ca": False}, "is no CA", id="no-ca"),
        pytest.param({"key_usage": frozenset({"crl_sign"})}, "keyCertSign", id="no-key-cert-sign"),
        pytest.param({"uris": ()}, "its URI SANs are ()", id="no-uri"),
        pytest.param({"uris": ("spiffe://example.com",)}, "its URI SANs are", id="foreign"),
        pytest.param({"uris": ("spiffe://example.org/ns/a",)}, "has a path", id="path"),
        pytest.param({"not_after": mint.NOON + timedelta(hours=13)}, "it lives 15:00:00", id="long"),
        pytest.param({"not_after": mint.NOON + timedelta(days=91)}, "ends after its issuer", id="outlives"),
    ],
)
def test_a_deviating_ca_is_named(deviation: dict[str, object], fault: str) -> None:
    ca = mint.intermediate(ROOT, replace(mint.INTERMEDIATE, **deviation))  # type: ignore[arg-type]
    found = ca_faults(ca.cert, ROOT.cert, trust_domain="example.org", ca_ttl=CA_TTL)
    assert fault in " ".join(found)


def test_the_backdate_is_part_of_a_cas_life() -> None:
    profile = replace(mint.INTERMEDIATE, not_after=mint.NOON + timedelta(hours=12, seconds=10))
    ca = mint.intermediate(ROOT, profile).cert
    assert ca_faults(ca, ROOT.cert, trust_domain="example.org", ca_ttl=CA_TTL) == []
    assert ca_faults(ca, ROOT.cert, trust_domain="example.org", ca_ttl=CA_TTL - timedelta(seconds=1))


def test_a_root_of_path_length_zero_allows_no_ca() -> None:
    root = mint.authority(replace(mint.CERT_MANAGER_ROOT, path_length=0))
    ca = mint.intermediate(root).cert
    found = ca_faults(ca, root.cert, trust_domain="example.org", ca_ttl=CA_TTL)
    assert found == ["its issuer's path length is 0: no CA may be below it"]


def test_bundles_are_compared_as_sets() -> None:
    both, turned = ROOTS.union(OTHER_ROOTS), OTHER_ROOTS.union(ROOTS)
    assert bundle_faults({"a": both}, turned) == []


def test_whoever_has_another_bundle_is_named() -> None:
    found = bundle_faults({"a": ROOTS, "b": OTHER_ROOTS, "c": ROOTS.union(OTHER_ROOTS)}, ROOTS)
    assert [fault.split()[0] for fault in found] == ["b", "c"]


def test_either_of_two_bundles_will_do() -> None:
    assert bundle_faults({"a": ROOTS, "b": OTHER_ROOTS}, ROOTS, OTHER_ROOTS) == []


def test_the_agents_answer_holds_its_bundle() -> None:
    svid = {"bundle": base64.b64encode(mint.der(ROOT.cert)).decode(), "x509_svid_key": "not read"}
    assert parse_agent_answer(json.dumps({"svids": [svid, svid]})).same_as(ROOTS)
    assert parse_agent_answer(json.dumps([{"svids": [svid]}])).same_as(ROOTS)


def test_istiod_serves_its_secrets_intermediate() -> None:
    assert istiod_faults(SERVED, (CACERTS.cert,), ROOTS, mint.NOON) == []
    assert istiod_faults(SERVER.chain, (CACERTS.cert,), ROOTS, mint.NOON) == []


def test_istiod_with_another_intermediate_is_found() -> None:
    other = mint.intermediate(ROOT)
    found = istiod_faults(SERVED, (other.cert,), ROOTS, mint.NOON)
    assert found == ["its intermediate is not the one in the Secret"]


def test_istiod_under_another_root_is_found() -> None:
    found = istiod_faults(SERVED, (CACERTS.cert,), OTHER_ROOTS, mint.NOON)
    assert "its chain has depth 0 with the root, not 3" in found


def test_a_leaf_may_end_with_its_issuer_and_not_later() -> None:
    assert outliving_faults(SERVED) == []
    long = replace(mint.SERVER, not_after=mint.INTERMEDIATE.not_after + timedelta(seconds=1))
    assert len(outliving_faults(mint.leaf(CACERTS, long).chain)) == 1


def test_an_injector_is_believed() -> None:
    assert injector_faults(Injector("hook", HOST, ROOTS), SERVED, mint.NOON) == []


@pytest.mark.parametrize(
    ("injector", "fault"),
    [
        pytest.param(Injector("hook", HOST, None), "it has no caBundle", id="none"),
        pytest.param(Injector("hook", HOST, OTHER_ROOTS), "is not in the trust bundle", id="root"),
        pytest.param(Injector("hook", "istiod.other.svc", ROOTS), "it is called istiod.other", id="name"),
    ],
)
def test_an_injector_is_not_believed(injector: Injector, fault: str) -> None:
    assert fault in " ".join(injector_faults(injector, SERVED, mint.NOON))


def request(*, age: float, **condition: str) -> Object:
    """Make a CertificateRequest of that age, in seconds, that got a condition just then."""
    moment = (mint.NOON - timedelta(seconds=age)).isoformat()
    conditions = [{**condition, "lastTransitionTime": moment}] if condition else []
    metadata = {"name": "spiffe-ca-x", "creationTimestamp": moment}
    return {"metadata": metadata, "status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("one", "stale"),
    [
        pytest.param(request(age=4, type="Ready", status="True"), False, id="just-signed"),
        pytest.param(request(age=6, type="Ready", status="True"), True, id="signed"),
        pytest.param(request(age=6, type="Denied", status="True"), True, id="denied"),
        pytest.param(request(age=6, type="Ready", status="False", reason="Failed"), True, id="failed"),
        pytest.param(request(age=6, type="Ready", status="False", reason="Pending"), False, id="pending"),
        pytest.param(request(age=6, type="Approved", status="True"), False, id="approved"),
        pytest.param(request(age=79), False, id="awaited"),
        pytest.param(request(age=81), True, id="given-up"),
    ],
)
def test_a_request_is_stale_when_spire_waits_for_it_no_more(one: Object, stale: bool) -> None:
    assert bool(stale_requests([one], mint.NOON)) == stale
