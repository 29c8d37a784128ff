"""Who signs and under which root, judged on minted certificates: whole ones, and each with one defect."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fixtures.chaos import authorities
from fixtures.chaos.api_faults import BEFORE
from fixtures.chaos.authorities import Authority
from fixtures.chaos.probes import PaceError
from fixtures.cluster.kube import CERTIFICATE, Kind, Object
from fixtures.cluster.wait import WaitFailedError, WaitTimeoutError
from fixtures.pki import TrustBundle, mint, serial_hex
from fixtures.probe.certificate import CertificateState, Condition
from fixtures.probe.istiod import IstiodPod
from fixtures.probe.material import Signer
from fixtures.probe.pods import ManagedPod
from fixtures.probe.rotation import Snapshot
from fixtures.probe.sds import ProxySvid

NOW = datetime.now(UTC).replace(microsecond=0)
# Of the CA that is in use now: 6 minutes, of which 2 are over.
IN_USE = NOW + timedelta(minutes=4)


def long(profile: mint.Profile) -> mint.Profile:
    return replace(profile, not_before=NOW - timedelta(minutes=1), not_after=NOW + timedelta(days=1))


def short(profile: mint.Profile) -> mint.Profile:
    return replace(profile, not_before=NOW - timedelta(minutes=2), not_after=IN_USE)


ROOT = mint.authority(long(mint.CERT_MANAGER_ROOT))
OTHER_ROOT = mint.authority(long(mint.CERT_MANAGER_ROOT))
CA = mint.intermediate(ROOT, short(mint.INTERMEDIATE))
NEXT_CA = mint.intermediate(ROOT, short(mint.INTERMEDIATE))
BUNDLE = TrustBundle((ROOT.cert,))
ISTIOD_CA = mint.intermediate(
    ROOT, long(replace(mint.INTERMEDIATE, uris=(), dns=("istiod.istio-system.svc",)))
)
POD = ManagedPod("bookinfo", "details-1", "u1", "default", "node", True)
NAME = "bookinfo/details-1"
Svids = dict[ManagedPod, ProxySvid]


def svid(by: mint.Issued = CA, bundle: TrustBundle = BUNDLE) -> ProxySvid:
    begin, end = NOW - timedelta(seconds=10), NOW + timedelta(minutes=1)
    leaf = mint.leaf(by, replace(mint.LEAF, not_before=begin, not_after=end))
    return ProxySvid(leaf.chain, bundle, ("example.org",))


def secret_of(cert: mint.Issued, root: mint.Issued, key: mint.Issued | None = None) -> dict[str, str]:
    pem = (key or cert).key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    content = {"tls.crt": mint.pem(cert.cert), "tls.key": pem, "ca.crt": mint.pem(root.cert)}
    return {name: base64.b64encode(value).decode() for name, value in content.items()}


@dataclass
class Cluster:
    """What SPIRE's server and the API server say."""

    data: dict[str, str] = field(default_factory=lambda: secret_of(ISTIOD_CA, ROOT))
    edited: bool = True
    shown: dict[str, Any] = field(default_factory=dict)
    requests: list[Object] = field(default_factory=list)

    def find(self, kind: Kind, name: str, namespace: str) -> Object:
        return {"data": self.data}

    def get(self, kind: Kind, name: str, namespace: str) -> Object:
        if kind == CERTIFICATE:
            return {
                "metadata": {"annotations": {BEFORE: "{}"} if self.edited else {}},
                "spec": {"issuerRef": {}},
            }
        return {"data": {**self.data, "root-cert.pem": mint.pem(ROOT.cert).decode()}}

    def list(self, kind: Kind, namespace: str, labels: str) -> list[Object]:
        return self.requests

    def exec(self, *words: str) -> str:
        return json.dumps(self.shown)


@dataclass
class World:
    """All that the probes read; each test spoils one thing."""

    cluster: Cluster = field(default_factory=Cluster)
    svids: list[Svids] = field(default_factory=lambda: [{POD: svid()}])
    published: TrustBundle = BUNDLE
    server: TrustBundle = BUNDLE

    def read(self, kube: object) -> Svids:
        return self.svids.pop(0) if len(self.svids) > 1 else self.svids[0]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    monkeypatch.setenv("MESHPROOF_TIMEOUT_SCALE", "0.001")
    monkeypatch.setattr(authorities, "kube_of", lambda configuration: found.cluster)
    monkeypatch.setattr(authorities, "read_svids", found.read)
    monkeypatch.setattr(authorities, "published_bundle", lambda kube: found.published)
    monkeypatch.setattr(authorities, "server_bundle", lambda kube: found.server)
    monkeypatch.setattr(authorities, "bundle_trust_domain", lambda kube: "example.org")
    return found


# --- roots and bundles -------------------------------------------------------------------------


def test_bundles_agree_with_the_server(world: World) -> None:
    assert authorities.bundles_agree("example.org")
    world.server = TrustBundle((ROOT.cert, OTHER_ROOT.cert))
    with pytest.raises(WaitTimeoutError) as caught:
        authorities.bundles_agree("example.org")
    assert "ConfigMap spire-bundle" in str(caught.value)
    assert f"ROOTCA of {NAME}" in str(caught.value)


def test_a_bundle_of_another_trust_domain_agrees_with_nothing(world: World) -> None:
    with pytest.raises(WaitTimeoutError, match=r"has the bundle of example\.org"):
        authorities.bundles_agree("other.org")


def test_a_chain_under_another_root_than_the_published_ones_is_found(world: World) -> None:
    assert authorities.known_root_signs("example.org")
    world.published = TrustBundle((OTHER_ROOT.cert,))
    with pytest.raises(WaitTimeoutError) as caught:
        authorities.known_root_signs("example.org")
    assert NAME in str(caught.value)
    assert "Secret istio-system/cacerts" in str(caught.value)


def test_a_mesh_without_proxies_proves_no_root(world: World) -> None:
    world.svids = [{}]
    with pytest.raises(WaitTimeoutError, match="no proxy found"):
        authorities.known_root_signs("example.org")


def test_the_journal_is_told_who_holds_which_root(world: World) -> None:
    world.published = TrustBundle((ROOT.cert, OTHER_ROOT.cert))
    held = authorities.roots_held()
    assert len(held.pop("ConfigMap spire-bundle")) == 2
    assert {tuple(roots) for roots in held.values()} == {tuple(held[f"ROOTCA of {NAME}"])}
    assert "Secret cert-manager/selfsigned-ca" in held


# --- cert-manager and istiod -------------------------------------------------------------------


def test_a_whole_secret_tells_its_serial(world: World) -> None:
    assert authorities.secret_whole("cacerts", "istio-system") == {"serial": serial_hex(ISTIOD_CA.cert)}
    world.cluster.data = secret_of(ROOT, ROOT)
    assert authorities.secret_whole("selfsigned-ca", "cert-manager") == {"serial": serial_hex(ROOT.cert)}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        pytest.param({}, "it lacks tls.crt, tls.key, ca.crt", id="not-there"),
        pytest.param({**secret_of(ISTIOD_CA, ROOT), "tls.key": ""}, "it lacks tls.key", id="no-key"),
        pytest.param(secret_of(ISTIOD_CA, ROOT, key=CA), "its key is not that", id="key-of-another"),
        pytest.param(
            {**secret_of(ISTIOD_CA, ROOT), "tls.key": "bm8ga2V5"}, "its key is not that", id="no-key-at-all"
        ),
        pytest.param(secret_of(ISTIOD_CA, OTHER_ROOT), "its certificate and its root", id="another-root"),
        pytest.param({**secret_of(ISTIOD_CA, ROOT), "tls.crt": "bm8="}, "cannot be read", id="no-cert"),
    ],
)
def test_a_secret_that_is_not_whole_is_found_and_its_key_not_shown(
    data: dict[str, str], fault: str, world: World
) -> None:
    world.cluster.data = data
    with pytest.raises(WaitTimeoutError) as caught:
        authorities.secret_whole("cacerts", "istio-system")
    assert fault in str(caught.value)
    assert not data.get("tls.key") or data["tls.key"] not in str(caught.value)


def state_of(ready: str = "True", generation: int = 2, **change: object) -> CertificateState:
    spec = {"duration": "24h1m", "dnsNames": ["istiod.istio-system.svc"], "isCA": True, **change}
    return CertificateState(spec, 2, 1, "", (Condition("Ready", ready, "", "", generation),))


def issue_faults(edited: bool, state: CertificateState) -> list[str]:
    faults = authorities.issue_faults(edited, state, ISTIOD_CA.cert)
    # Of the mint's own: cert-manager takes both from the spec.
    return [one for one in faults if not one.startswith(("commonName", "organizations", "privateKey"))]


def test_a_rotation_is_issued_when_the_secret_holds_what_the_edit_asks_for() -> None:
    assert issue_faults(True, state_of()) == []
    assert issue_faults(False, state_of()) == ["nobody has edited it"]
    assert issue_faults(True, state_of(generation=1))
    assert issue_faults(True, state_of("False"))
    assert issue_faults(True, state_of(duration="24h0m59s"))


def test_istiod_must_serve_what_its_secret_holds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(secret: mint.Issued, served: mint.Issued) -> Snapshot:
        chain = mint.leaf(served, long(mint.SERVER)).chain
        expiry = served.cert.not_valid_after_utc.timestamp()
        pod = IstiodPod("istiod-1", "u", 0, "node")
        return Snapshot(NOW, pod, BUNDLE, (secret.cert,), chain, chain, expiry, state_of())

    monkeypatch.setattr(authorities, "snapshot", lambda kube: seen(ISTIOD_CA, ISTIOD_CA))
    assert authorities.newest_intermediate_served() == {"serial": serial_hex(ISTIOD_CA.cert)}
    old = mint.intermediate(ROOT, long(replace(mint.INTERMEDIATE, uris=())))
    monkeypatch.setattr(authorities, "snapshot", lambda kube: seen(ISTIOD_CA, old))
    with pytest.raises(WaitTimeoutError, match="port 15012"):
        authorities.newest_intermediate_served()


def test_cert_manager_must_sign_under_the_root_in_use(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    by = ROOT

    def sign(kube: object, issuer: object, **_: object) -> Signer:
        leaf = mint.leaf(by, long(mint.SERVER))
        return Signer(leaf.cert, mint.pem(by.cert), leaf.key)

    monkeypatch.setattr(authorities, "signed_under_root", sign)
    assert authorities.issuer_signs()["serial"]
    by = OTHER_ROOT
    with pytest.raises(WaitTimeoutError):
        authorities.issuer_signs()


# --- SPIRE's CA --------------------------------------------------------------------------------


def shown(**expiries: datetime) -> dict[str, Any]:
    """Answer as `spire-server localauthority x509 show -output json` does, with 64-bit numbers as text."""
    return {
        state: {"authority_id": f"id-of-{state}", "expires_at": str(int(moment.timestamp()))}
        for state, moment in expiries.items()
    }


def test_authorities_are_read_and_an_old_one_is_left_out() -> None:
    end = NOW + timedelta(minutes=4)
    assert authorities.parse_authorities({**shown(active=end, old=NOW), "prepared": None}) == [
        Authority("id-of-active", end)
    ]
    with pytest.raises(LookupError):
        authorities.parse_authorities({"active": None, "prepared": None, "old": None})


def test_the_next_ca_is_due_at_half_of_the_newest_ones_lifetime() -> None:
    six = timedelta(minutes=6)
    active, prepared = Authority("a", NOW + timedelta(minutes=2)), Authority("b", NOW + timedelta(minutes=5))
    assert authorities.preparation_due([active], six) == NOW - timedelta(minutes=1)
    assert authorities.preparation_due([active, prepared], six) == NOW + timedelta(minutes=2)


def test_a_fault_waits_for_the_roll_over(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=3, seconds=20)
    world.cluster.shown = shown(active=soon)
    found = authorities.roll_over_is_next("example.org", within=25)
    assert 10 <= found["seconds"] <= 20
    assert found["lifetime"] == 360


@pytest.mark.parametrize("left", [timedelta(seconds=5), timedelta(seconds=-5), timedelta(minutes=2)])
def test_a_roll_over_that_is_too_near_or_too_far_is_not_next(
    left: timedelta, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authorities, "affordable", lambda seconds: 0.0)
    world.cluster.shown = shown(active=datetime.now(UTC) + timedelta(minutes=3) + left)
    with pytest.raises(WaitTimeoutError):
        authorities.roll_over_is_next("example.org", within=25)


def test_a_ca_of_a_day_is_nothing_to_wait_for(world: World) -> None:
    day = mint.intermediate(ROOT, long(mint.INTERMEDIATE))
    world.svids = [{POD: svid(day)}]
    with pytest.raises(PaceError, match=r"12\.0 h"):
        authorities.roll_over_is_next("example.org")


def request(name: str, *conditions: tuple[str, str, str]) -> Object:
    listed = [{"type": kind, "status": status, "reason": reason} for kind, status, reason in conditions]
    return {"metadata": {"name": name}, "status": {"conditions": listed}}


def test_a_request_waits_until_it_is_answered(world: World) -> None:
    world.cluster.requests = [
        request("signed", ("Ready", "True", "Issued")),
        request("failed", ("Ready", "False", "Failed")),
        request("denied", ("Denied", "True", "policy"), ("Ready", "False", "Denied")),
    ]
    with pytest.raises(WaitTimeoutError):
        authorities.request_unanswered()
    world.cluster.requests.append(request("waits", ("Ready", "False", "Pending")))
    assert authorities.request_unanswered() == "waits"
    world.cluster.requests = [{"metadata": {"name": "new"}}]
    assert authorities.request_unanswered() == "new"


def test_the_old_ca_serves_on_when_it_signs_another_leaf(world: World) -> None:
    first, second = svid(), svid()
    world.svids = [{POD: first}, {POD: first}, {POD: second}]
    assert authorities.old_ca_serves_on("example.org") == {"proxy": NAME, "serial": second.serial}


def test_another_ca_that_signs_meanwhile_is_found(world: World) -> None:
    world.svids = [{POD: svid()}, {POD: svid(NEXT_CA)}]
    with pytest.raises(WaitFailedError, match="by another CA"):
        authorities.old_ca_serves_on("example.org")


def test_a_server_that_signs_nothing_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorities, "affordable", lambda seconds: 0.0)
    with pytest.raises(WaitTimeoutError):
        authorities.old_ca_serves_on("example.org")


def test_a_roll_over_is_completed_by_a_newer_ca_than_those_in_use(world: World) -> None:
    world.cluster.shown = shown(active=IN_USE)
    with pytest.raises(WaitTimeoutError):
        authorities.roll_over_completed("example.org")
    world.cluster.shown = shown(active=IN_USE, prepared=IN_USE + timedelta(minutes=3))
    assert authorities.roll_over_completed("example.org") == {"authority": "id-of-prepared"}
