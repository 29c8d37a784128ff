"""The judges of identity clauses, fed with observations that a broken mesh would give."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.x509 import SubjectKeyIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

from fixtures.pki import TrustBundle, mint, public_key_fingerprint
from fixtures.probe.identity import (
    BACKDATE,
    Held,
    Signing,
    configured_ttl,
    demanded_domains,
    dns_faults,
    domain_faults,
    entry_faults,
    exposed_keys,
    id_faults,
    issuer_faults,
    key_faults,
    leaf_domains,
    leaf_faults,
    lifetime_faults,
    offenders,
    parse_signings,
    renewal_faults,
    signing_faults,
    uri_faults,
)
from fixtures.probe.pods import ManagedPod
from fixtures.probe.sds import ProxySvid
from fixtures.probe.spire import Entry

ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
SPIRE_CA = mint.intermediate(ROOT)
# As cert-manager makes istiod's: a CA under the same root.
CACERTS = mint.intermediate(ROOT, replace(mint.INTERMEDIATE, uris=()))
BUNDLE = TrustBundle((ROOT.cert,))
POD = ManagedPod("default", "reviews-7c9-x2x", "uid-1", "reviews", "node-1", ready=True)
AGENT = "spiffe://example.org/spire/agent/k8s_psat/demo/node-1"
OTHER_AGENT = "spiffe://example.org/spire/agent/k8s_psat/demo/node-2"
SELECTORS = ("k8s:ns:default", "k8s:pod-uid:uid-1", "k8s:sa:reviews")
ENTRY = Entry("e-1", mint.WORKLOAD, AGENT, SELECTORS, ("reviews-7c9-x2x.default.svc",))
TTL = timedelta(minutes=1)
MINUTE = replace(mint.LEAF, not_before=mint.NOON - BACKDATE, not_after=mint.NOON + TTL)


def key_id(issued: mint.Issued) -> str:
    """Return the key id by which SPIRE names an authority."""
    return issued.cert.extensions.get_extension_for_class(SubjectKeyIdentifier).value.digest.hex()


def svid(issued: mint.Issued) -> ProxySvid:
    return ProxySvid(issued.chain, BUNDLE, ("example.org",))


def leaf(**deviation: object) -> mint.Issued:
    return mint.leaf(SPIRE_CA, replace(mint.LEAF, **deviation))  # type: ignore[arg-type]


def test_a_pod_without_an_svid_is_an_offender() -> None:
    assert offenders([Held(POD, None)], lambda *_: ()) == [f"{POD}: its proxy holds no SVID"]


def test_a_good_leaf_has_no_faults() -> None:
    good = mint.leaf(SPIRE_CA, replace(MINUTE, dns=ENTRY.dns_names))
    key_ids = [key_id(SPIRE_CA)]
    assert list(uri_faults(good.cert)) == []
    assert list(id_faults(POD, good.cert, "example.org")) == []
    assert list(leaf_faults(good.cert)) == []
    assert list(dns_faults(POD, good.cert, [ENTRY])) == []
    assert list(issuer_faults(svid(good), key_ids, BUNDLE, [CACERTS.cert], mint.NOON)) == []
    assert list(lifetime_faults(svid(good), TTL)) == []


@pytest.mark.parametrize(
    ("uris", "fault"),
    [
        ((), "0 URI SANs: "),
        ((mint.WORKLOAD, mint.WORKLOAD), f"2 URI SANs: {mint.WORKLOAD} {mint.WORKLOAD}"),
        (("spiffe://example.org",), "spiffe://example.org names a trust domain and no workload"),
    ],
    ids=["none", "two", "no-path"],
)
def test_uri_sans_must_be_one_workload(uris: tuple[str, ...], fault: str) -> None:
    assert list(uri_faults(leaf(uris=uris, dns=("a.example.org",)).cert)) == [fault]


def test_an_upper_case_trust_domain_is_a_fault() -> None:
    bad = leaf(uris=("spiffe://Example.org/ns/default/sa/reviews",)).cert
    (fault,) = uri_faults(bad)
    assert "lower case" in fault


def test_anothers_id_is_a_fault() -> None:
    other = "spiffe://example.org/ns/default/sa/ratings"
    assert list(id_faults(POD, leaf(uris=(other,)).cert, "example.org")) == [
        f"its leaf says {other}, the API server says {mint.WORKLOAD}"
    ]


def test_a_second_id_beside_the_own_one_is_a_fault() -> None:
    both = (mint.WORKLOAD, "spiffe://example.org/ns/default/sa/ratings")
    assert len(list(id_faults(POD, leaf(uris=both).cert, "example.org"))) == 1


@pytest.mark.parametrize(
    ("deviation", "word"),
    [
        ({"ca": True}, "CA"),
        ({"key_usage": frozenset({"digital_signature", "key_cert_sign"})}, "keyCertSign"),
        ({"key_usage": frozenset({"key_encipherment"})}, "digitalSignature"),
        ({"purposes": (ExtendedKeyUsageOID.SERVER_AUTH,)}, "clientAuth"),
        ({"purposes": None}, "extended key usage"),
    ],
    ids=["ca", "signs-certificates", "no-signature", "server-only", "no-purposes"],
)
def test_what_is_no_leaf_is_a_fault(deviation: dict[str, object], word: str) -> None:
    (fault,) = leaf_faults(leaf(**deviation).cert)
    assert word in fault


def test_trust_domains_must_agree() -> None:
    named = {"SPIRE": {"example.org"}, "istiod": {"cluster.local"}, "proxy": set[str]()}
    assert domain_faults(named, "SPIRE") == [
        "istiod says cluster.local, SPIRE says example.org",
        "proxy says nothing, SPIRE says example.org",
    ]


def test_trust_domains_of_a_leaf_are_compared_raw() -> None:
    raw = "spiffe://Example.org/ns/default/sa/reviews"
    assert leaf_domains(leaf(uris=(raw,)).cert) == {raw}
    assert leaf_domains(leaf().cert) == {"example.org"}


def test_what_a_proxy_demands_is_found_wherever_it_stands() -> None:
    context = {
        "match_subject_alt_names": [
            {"exact": "spiffe://example.org/ns/a/sa/b"},
            {"prefix": "spiffe://cluster.local/"},
            {"exact": "istiod.istio-system.svc"},
        ]
    }
    dump = {"configs": [{"x": [{"common_tls_context": {"validation_context": context}}]}]}
    text = f"warning before it\n{json.dumps(dump)}"
    assert demanded_domains(text) == {"example.org", "cluster.local"}


def test_istiods_leaf_is_not_issued_by_spire() -> None:
    fallen_back = mint.leaf(CACERTS)
    signer = key_id(CACERTS)
    faults = list(issuer_faults(svid(fallen_back), [key_id(SPIRE_CA)], BUNDLE, [CACERTS.cert], mint.NOON))
    assert faults == [
        f"signed by the key {signer}, SPIRE's CAs are {key_id(SPIRE_CA)}",
        f"signed by {CACERTS.cert.subject.rfc4514_string()}",
    ]


def test_a_ca_of_the_same_key_id_under_another_root_is_not_spires() -> None:
    rogue = mint.intermediate(mint.authority(), key=SPIRE_CA.key)
    found = list(issuer_faults(svid(mint.leaf(rogue)), [key_id(SPIRE_CA)], BUNDLE, [CACERTS.cert], mint.NOON))
    assert len(found) == 1
    assert found[0].startswith("no path to an authority of SPIRE's bundle: ")


def test_the_pods_own_entry_has_no_faults() -> None:
    node_alias = Entry("e-9", "spiffe://example.org/nodes", "", ("k8s_psat:cluster:demo",), ())
    neighbour = replace(ENTRY, id="e-2", selectors=("k8s:ns:default", "k8s:pod-uid:uid-2"))
    assert list(entry_faults(POD, [node_alias, ENTRY, neighbour], "example.org", [AGENT])) == []


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        ([], "0 entries: none"),
        (
            [ENTRY, replace(ENTRY, id="e-2", spiffe_id="spiffe://example.org/x")],
            f"2 entries: {mint.WORKLOAD} spiffe://example.org/x",
        ),
        (
            [ENTRY, replace(ENTRY, id="e-2", selectors=("k8s:ns:default",))],
            f"2 entries: {mint.WORKLOAD} {mint.WORKLOAD}",
        ),
        (
            [replace(ENTRY, spiffe_id="spiffe://example.org/x")],
            f"its entry is for spiffe://example.org/x, not for {mint.WORKLOAD}",
        ),
        (
            [replace(ENTRY, parent_id=OTHER_AGENT)],
            f"the parent of its entry is {OTHER_AGENT}, the agents of its node are ['{AGENT}']",
        ),
        (
            [replace(ENTRY, selectors=("k8s:ns:default", "k8s:sa:reviews"))],
            "its entry selects by k8s:ns:default k8s:sa:reviews",
        ),
    ],
    ids=["none", "two", "namespace-wide", "another-id", "another-node", "no-uid"],
)
def test_a_wrong_entry_is_a_fault(entries: list[Entry], fault: str) -> None:
    assert list(entry_faults(POD, entries, "example.org", [AGENT])) == [fault]


def test_a_node_without_an_agent_is_a_fault() -> None:
    assert len(list(entry_faults(POD, [ENTRY], "example.org", []))) == 1


def test_other_dns_names_are_a_fault() -> None:
    assert list(dns_faults(POD, leaf(dns=("evil.example.org",)).cert, [ENTRY])) == [
        "its leaf has the DNS names ['evil.example.org'], its entry ['reviews-7c9-x2x.default.svc']"
    ]


def test_signings_are_read_from_the_servers_log() -> None:
    log = (
        'time="2026-11-24T22:40:44Z" level=info msg="Something else"\n'
        'time="2026-11-24T22:40:44Z" level=debug msg="Signed X509 SVID" authorized_as=agent '
        f'caller_addr="10.244.0.1:58943" caller_id="{AGENT}" entry_id=e-1 '
        'expiration="2026-11-24T22:41:44Z" method=BatchNewX509SVID serial_num=266436 '
        f'service=svid.v1.SVID spiffe_id="{mint.WORKLOAD}" subsystem_name=api\n'
    )
    assert parse_signings(log) == [Signing(AGENT, "e-1", 266436)]


@pytest.mark.parametrize("entry", ["e-1", "e-7"], ids=["same-entry", "same-serial"])
def test_an_agent_of_another_node_is_a_fault(entry: str) -> None:
    own = svid(leaf(serial=7))
    signed = [Signing(AGENT, "e-1", 6), Signing(OTHER_AGENT, entry, 7)]
    assert list(signing_faults(POD, own, [ENTRY], signed, AGENT)) == [
        f"{OTHER_AGENT} had the SVID 7 signed, the agent of its node is {AGENT}"
    ]


@pytest.mark.parametrize(
    ("conf", "seconds"),
    [
        ('default_x509_svid_ttl = "1m"', 60),
        ('"default_x509_svid_ttl": "1h30m"', 5400),
        ('ca_ttl = "6m"', 3600),
        ('# default_x509_svid_ttl = "2m"', 3600),
    ],
)
def test_the_configured_lifetime_is_read(conf: str, seconds: int) -> None:
    assert configured_ttl(conf) == timedelta(seconds=seconds)


def test_a_lifetime_that_is_no_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="'1day'"):
        configured_ttl('default_x509_svid_ttl = "1day"')


def test_a_longer_lifetime_is_a_fault() -> None:
    long = mint.leaf(SPIRE_CA, replace(MINUTE, not_after=mint.NOON + TTL + timedelta(seconds=1)))
    assert list(lifetime_faults(svid(long), TTL)) == [
        "valid for 0:01:11, SPIRE was told 0:01:00 (and dates back by 0:00:10)"
    ]


def test_a_leaf_that_outlives_its_issuer_is_a_fault() -> None:
    ending = mint.intermediate(ROOT, replace(mint.INTERMEDIATE, not_after=mint.NOON))
    (fault,) = lifetime_faults(svid(mint.leaf(ending, MINUTE)), TTL)
    assert "its issuer until 2030-01-01 12:00:00+00:00" in fault


def renewed(seconds: int) -> ProxySvid:
    """Return an SVID that was issued so many seconds after noon."""
    later = timedelta(seconds=seconds)
    profile = replace(MINUTE, not_before=MINUTE.not_before + later, not_after=MINUTE.not_after + later)
    return svid(mint.leaf(SPIRE_CA, profile))


def test_renewal_is_due_at_half_life() -> None:
    first = svid(mint.leaf(SPIRE_CA, MINUTE))
    assert [second for second in range(61) if not list(renewal_faults(first, renewed(second)))] == list(
        range(21, 37)
    )


def test_renewal_with_the_same_key_is_a_fault() -> None:
    first = mint.leaf(SPIRE_CA, MINUTE)
    later = replace(
        MINUTE,
        not_before=MINUTE.not_before + timedelta(seconds=30),
        not_after=MINUTE.not_after + timedelta(seconds=30),
    )
    second = mint.leaf(SPIRE_CA, later, key=first.key)
    assert list(renewal_faults(svid(first), svid(second))) == ["renewed with the same key"]


def test_a_secret_with_a_workloads_key_is_a_fault() -> None:
    issued = leaf()
    owners = {public_key_fingerprint(issued.key.public_key()): "default/stolen tls.key"}
    assert list(key_faults(issued.cert, owners)) == [
        "its private key is in the Secret default/stolen tls.key"
    ]
    assert list(key_faults(leaf().cert, owners)) == []


def test_a_redacted_dump_exposes_nothing() -> None:
    redacted = {"inline_bytes": base64.b64encode(b"[redacted]").decode()}
    chain = {"inline_bytes": base64.b64encode(mint.pem(ROOT.cert)).decode()}
    dump = {"secret": {"tls_certificate": {"certificate_chain": chain, "private_key": redacted}}}
    assert exposed_keys(json.dumps(dump)) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("private_key", base64.b64encode(ROOT.key_pem).decode()),
        ("private_key", "c2hvcnQ="),
        ("other", ROOT.key_pem.decode()),
        ("other", base64.b64encode(ROOT.key_pem).decode()),
    ],
    ids=["in-its-field", "not-redacted", "as-text", "encoded"],
)
def test_a_key_in_a_dump_is_found(field: str, value: str) -> None:
    assert exposed_keys(json.dumps({"configs": [{field: {"inline": value}}]})) == [f"configs/{field}/inline"]
