"""How long a fault lasts, what a log says, and the pod that comes afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fixtures.chaos import fresh, identities, probes
from fixtures.cluster.kube import Kind, Object
from fixtures.cluster.run import CommandError
from fixtures.cluster.wait import WaitFailedError, WaitTimeoutError
from fixtures.pki import TrustBundle, mint
from fixtures.probe.pods import ManagedPod
from fixtures.probe.sds import ProxySvid

ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
CA = mint.intermediate(ROOT)
DETAILS = "spiffe://example.org/ns/bookinfo/sa/bookinfo-details"
POD = ManagedPod("bookinfo", "details-1", "u1", "bookinfo-details", "node", True)
OTHER = replace(POD, name="reviews-1", uid="u2")


def svid(seconds: float, uri: str = DETAILS, by: mint.Issued = CA) -> ProxySvid:
    begin = mint.NOON - timedelta(seconds=10)
    profile = replace(mint.LEAF, uris=(uri,), not_before=begin, not_after=begin + timedelta(seconds=seconds))
    return ProxySvid(mint.leaf(by, profile).chain, TrustBundle((ROOT.cert,)), ("example.org",))


@dataclass
class Cluster:
    """Pods with logs, and what is made and deleted."""

    pods: list[Object] = field(default_factory=list)
    text: str = ""
    since: datetime | None = None
    made: list[str] = field(default_factory=list)
    deleted: list[tuple[str, int | None]] = field(default_factory=list)
    refuse: bool = False

    def list(self, kind: Kind, namespace: str, labels: str = "") -> list[Object]:
        wanted = dict(label.split("=") for label in labels.split(","))
        return [pod for pod in self.pods if wanted.items() <= pod["metadata"]["labels"].items()]

    def logs(self, namespace: str, pod: str, container: str, *, since: datetime) -> str:
        self.since = since
        return self.text

    def apply(self, text: str) -> None:
        if self.refuse:
            raise CommandError(("kubectl",), 1, "", "failed calling webhook")
        self.made.append(text)

    def get(self, kind: Kind, name: str, namespace: str) -> Object:
        return self.pods[0]

    def delete(self, kind: Kind, name: str, namespace: str, *, grace: int | None) -> bool:
        self.deleted.append((name, grace))
        return True


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster()
    monkeypatch.setattr(probes, "kube_of", lambda configuration: found)
    return found


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come is given up at once."""
    monkeypatch.setenv("MESHPROOF_TIMEOUT_SCALE", "0.001")


def in_hand(monkeypatch: pytest.MonkeyPatch, *found: ProxySvid) -> None:
    svids = {replace(POD, uid=str(place)): one for place, one in enumerate(found)}
    monkeypatch.setattr(probes, "read_svids", lambda kube, silent: svids)


def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note until when somebody would wait, in place of waiting."""
    ends: list[float] = []
    monkeypatch.setattr(probes, "_await_clock", lambda end, condition: ends.append(end))
    return ends


def test_an_outage_lasts_for_a_part_of_the_shortest_lifetime_in_hand(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_hand(monkeypatch, svid(70), svid(3600), svid(5, "spiffe://elsewhere.org/ns/a/sa/b"))
    ends = waits(monkeypatch)
    monkeypatch.setattr(probes, "monotonic", lambda: 100.0)

    assert probes.outage_outlasts(0.3, "example.org") == {"lifetime": 70, "waited": 0.0}
    assert ends == [pytest.approx(121)]


def test_an_outage_that_would_take_hours_is_told_before_anybody_waits(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_hand(monkeypatch, svid(24 * 3600))
    ends = waits(monkeypatch)

    with pytest.raises(probes.PaceError, match=r"^at this pace it takes 7\.2 h$"):
        probes.outage_outlasts(0.3, "example.org")
    with pytest.raises(probes.PaceError):
        probes.pause_outlasts(901)
    assert ends == []


def test_an_outage_needs_a_certificate_of_the_trust_domain(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_hand(monkeypatch, svid(60, "spiffe://elsewhere.org/ns/a/sa/b"))
    with pytest.raises(LookupError):
        probes.outage_outlasts(0.3, "example.org")
    in_hand(monkeypatch)
    with pytest.raises(WaitTimeoutError):
        probes.outage_outlasts(0.3, "example.org")


def test_a_pause_ends_when_the_clock_says_so_and_not_before() -> None:
    before = datetime.now(UTC)
    assert probes.pause_outlasts(0.7)
    assert timedelta(seconds=0.7) <= datetime.now(UTC) - before < timedelta(seconds=4)


def test_the_line_that_was_asked_for_is_returned(cluster: Cluster) -> None:
    cluster.pods = [{"metadata": {"name": "spire-server-0", "labels": {"app": "spire-server"}}}]
    line = 'time="x" level=error msg="Unable to rotate X509 CA" error="it is forbidden"'
    cluster.text = f"first\n{line}\nlast"

    said = probes.log_says("spire", "app=spire-server", "spire-server", "rotate X509 CA.*forbidden", ago=30)

    assert said == line
    assert cluster.since
    assert timedelta(seconds=30) <= datetime.now(UTC) - cluster.since < timedelta(seconds=35)


def test_a_line_that_nobody_logs_is_missed(cluster: Cluster) -> None:
    cluster.pods = [{"metadata": {"name": "spire-server-0", "labels": {"app": "spire-server"}}}]
    cluster.text = "all is well"
    with pytest.raises(WaitTimeoutError):
        probes.log_says("spire", "app=spire-server", "spire-server", "forbidden")


def test_a_proxy_that_does_not_answer_is_left_out_only_where_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(kube: object, namespace: str, name: str) -> ProxySvid:
        if name == OTHER.name:
            raise CommandError(("kubectl",), 1, "", "no answer")
        return svid(60)

    monkeypatch.setattr(identities, "meshed_pods", lambda kube: [POD, OTHER])
    monkeypatch.setattr(identities, "proxy_svid", read)
    kube: Any = None

    assert list(identities.read_svids(kube, silent=(CommandError,))) == [POD]
    with pytest.raises(CommandError):
        identities.read_svids(kube)


def test_an_identity_is_judged_by_its_pod_its_issuer_and_its_bundle() -> None:
    def flaws(found: ProxySvid, now: datetime = mint.NOON) -> tuple[str, ...]:
        bundle = TrustBundle((ROOT.cert,))
        return identities.identity_of(POD, found, bundle, "example.org", now).flaws

    istiod = mint.intermediate(ROOT, replace(mint.INTERMEDIATE, uris=()))
    stranger = mint.intermediate(mint.authority(mint.CERT_MANAGER_ROOT))

    assert flaws(svid(60)) == ()
    assert flaws(svid(60, DETAILS.replace("details", "ratings")))
    assert [flaw for flaw in flaws(svid(60, by=istiod)) if flaw.startswith("not issued by SPIRE's CA")]
    assert flaws(svid(60, by=stranger))
    assert flaws(svid(60), mint.NOON + timedelta(minutes=2))


# --- the fresh pod -----------------------------------------------------------------------------


def fresh_pod(*containers: str) -> Object:
    names = [{"name": name} for name in containers]
    return {
        "metadata": {"name": "fresh-1", "namespace": "bookinfo", "uid": "u9", "labels": {}},
        "spec": {"serviceAccountName": "bookinfo-details", "containers": names},
        "status": {"phase": "Running"},
    }


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster whose injector works, and whose SPIRE gives a new pod what it should."""
    now = datetime.now(UTC)

    def valid(profile: mint.Profile) -> mint.Profile:
        return replace(profile, not_before=now - timedelta(seconds=1), not_after=now + timedelta(hours=1))

    root = mint.authority(valid(mint.CERT_MANAGER_ROOT))
    ca = mint.intermediate(root, valid(mint.INTERMEDIATE))
    leaf = mint.leaf(ca, valid(replace(mint.LEAF, uris=(DETAILS,))))
    bundle = TrustBundle((root.cert,))
    monkeypatch.setattr(fresh, "published_bundle", lambda kube: bundle)
    monkeypatch.setattr(fresh, "proxy_svid", lambda *_: ProxySvid(leaf.chain, bundle, ("example.org",)))
    return Cluster([fresh_pod("app", "istio-proxy")])


def test_a_fresh_pod_is_asked_for_its_identity_and_removed(served: Cluster) -> None:
    kube: Any = served
    found = fresh.fresh_workload(kube, "example.org", image="fortio")

    assert (found.spiffe_id, found.flaws) == (DETAILS, ())
    assert 0 <= found.seconds < 5
    assert len(served.made) == len(served.deleted) == 1
    assert served.deleted[0][1] == 0


def test_a_fresh_pod_without_a_sidecar_is_an_error_and_removed(served: Cluster) -> None:
    kube: Any = served
    served.pods = [fresh_pod("app")]
    with pytest.raises(WaitFailedError, match="without a sidecar"):
        fresh.fresh_workload(kube, "example.org", image="fortio")
    assert len(served.deleted) == 1


def test_an_injector_that_cannot_be_called_is_an_error_in_the_end(served: Cluster) -> None:
    kube: Any = served
    served.refuse = True
    with pytest.raises(WaitTimeoutError, match="failed calling webhook"):
        fresh.fresh_workload(kube, "example.org", image="fortio")
    assert len(served.deleted) == 1


def test_fresh_pods_that_were_left_are_removed_and_no_others(cluster: Cluster) -> None:
    label = {fresh.FRESH_LABEL: "true"}
    cluster.pods = [
        {"metadata": {"name": "fresh-1", "labels": {"app": "fresh", **label}}},
        {"metadata": {"name": "details-1", "labels": {"app": "details"}}},
    ]
    kube: Any = cluster
    assert fresh.remove_fresh(kube) == ["bookinfo/fresh-1"]
    assert cluster.deleted == [("fresh-1", 0)]


def test_a_fresh_pod_is_of_no_service_and_asks_spire() -> None:
    made = fresh.manifest("fresh-1", "fortio", "mesh-worker")
    assert made["metadata"]["labels"]["app"] == "fresh"
    assert made["metadata"]["labels"]["spiffe.io/spire-managed-identity"] == "true"
    assert made["metadata"]["annotations"] == {"inject.istio.io/templates": "sidecar,spire"}
    assert made["spec"]["nodeSelector"] == {"kubernetes.io/hostname": "mesh-worker"}
