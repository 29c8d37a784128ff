"""Every other edit of `cacerts`: each begins where the last one ended, and the last one is undone."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from fixtures.cluster.kube import CERTIFICATE, EVENT, POD, Kube, Object
from fixtures.cluster.timeouts import timeouts
from fixtures.cluster.wait import wait_for
from fixtures.pki import SpiffeId, dns_sans, judge_svid, public_key_fingerprint, serial_hex
from fixtures.probe.certificate import certificate_state, key_kind, spec_faults
from fixtures.probe.durations import go_duration
from fixtures.probe.layout import CACERTS, DEMO, ISTIO
from fixtures.probe.newcomer import ISTIOD_ISSUED
from fixtures.probe.pods import is_running, meshed_pods
from fixtures.probe.rotation import RELOADED, Rotation
from fixtures.probe.sds import proxy_svid
from fixtures.probe.secrets import secret_chain
from fixtures.probe.trust import read_proxies
from fixtures.probe.wire import parse_access_log, parse_fortio
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh
from suites.rotation.rotations import (
    Rotations,
    demand_everywhere,
    keeps_key,
    longer,
)

_log = logging.getLogger(__name__)
_PORT = 9080


@conformance(id="rotation/grow", requires={"cert-manager", "istio"})
def test_longer_duration_is_taken(rotations: Rotations) -> None:
    """A longer duration (1440h to 2160h) rotates like a shorter one: the new intermediate is everywhere.

    > cert-manager issues anew when `spec.duration` is no longer the request's
    > (https://github.com/cert-manager/cert-manager/blob/v1.11.5/pkg/controller/certificates/util.go,
    > RequestMatchesSpec).

    Break: cert-manager's controller scaled to zero, or a root that ends earlier and cuts the duration.
    """
    wanted = longer(rotations.spec(), 720)
    rotation = rotations.rotate_under_load("grow", {"duration": wanted})

    demand_everywhere(rotation)
    _demand_spec(rotation)
    new = rotation.after.secret[0]
    assert new.not_valid_after_utc - new.not_valid_before_utc == go_duration(wanted)
    assert new.not_valid_after_utc > rotation.before.secret[0].not_valid_after_utc


@conformance(id="rotation/renew-before", requires={"cert-manager", "istio"})
def test_renew_before_moves_the_renewal_and_renews_what_is_due(mesh: Mesh, rotations: Rotations) -> None:
    """An edit of renewBefore moves the renewal alone, and renews, once, where that makes it due.

    > `status.renewalTime` is the end less `spec.renewBefore`; what is due is issued anew, and the
    > field is in no request, so that nothing else is
    > (https://cert-manager.io/docs/usage/certificate/#renewal; v1.11.5
    > pkg/controller/certificates/util.go, RenewalTime).

    Revisions are counted over both edits: one would be too many had the first of them issued.

    Break: cert-manager's controller scaled to zero, or one that issues on every edit.
    """
    kube = mesh.kube
    present, first = rotations.spec()["renewBefore"], certificate_state(kube)
    serial = serial_hex(secret_chain(kube, ISTIO, CACERTS)[0])
    earlier = go_duration(present) + timedelta(hours=40)
    _await_renewal(kube, _written(earlier))
    assert serial_hex(secret_chain(kube, ISTIO, CACERTS)[0]) == serial

    old = secret_chain(kube, ISTIO, CACERTS)[0]
    age = datetime.now(UTC) - old.not_valid_before_utc
    lifetime = old.not_valid_after_utc - old.not_valid_before_utc
    # What is issued now is as old, and due again, that much later: until then it is put back.
    rotation = rotations.rotate_under_load(
        "renew-before", {"renewBefore": _written(lifetime - age)}, once_issued={"renewBefore": present}
    )

    demand_everywhere(rotation)
    _demand_spec(rotation)
    assert rotation.after.state.revision == first.revision + 1
    assert rotation.before.serial == serial


@conformance(id="rotation/subject", requires={"cert-manager", "istio"})
def test_other_subject_is_taken_and_identities_stay(mesh: Mesh, rotations: Rotations) -> None:
    """Another name of the intermediate rotates, and no identity, no server's name and no root changes.

    > istiod signs what the mesh's trust domain and the caller's service account say, and serves its own
    > DNS names (https://istio.io/latest/docs/concepts/security/#pki); cert-manager issues anew when
    > commonName, dnsNames or organizations change (v1.11.5 pkg/controller/certificates/util.go).

    Break: an istiod that takes its trust domain or its DNS names from the CA; an issuer with name
    constraints.
    """
    rotation = rotations.rotate_under_load(
        "subject",
        {
            "commonName": "istiod-ca.meshproof",
            "dnsNames": ["istiod-ca.meshproof.svc"],
            "subject": {"organizations": ["meshproof"]},
        },
    )

    demand_everywhere(rotation)
    _demand_spec(rotation)
    before, after = rotation.before, rotation.after
    assert after.secret[0].subject != before.secret[0].subject
    assert after.roots.same_as(before.roots)
    for old, new in ((before.xds, after.xds), (before.webhook, after.webhook)):
        assert dns_sans(new[0]) == dns_sans(old[0])
    assert rotation.newcomer
    expected = SpiffeId.for_workload(mesh.trust_domain, ISTIOD_ISSUED, "default").raw
    assert rotation.newcomer.spiffe_id == expected


@conformance(id="rotation/algorithm", requires={"cert-manager", "istio"})
def test_other_algorithm_needs_a_new_key(mesh: Mesh, rotations: Rotations) -> None:
    """RSA to ECDSA and back: kept keys stay as they are, with the reason; Always brings a new one everywhere.

    > With rotationPolicy Never a key that does not fit the spec is not replaced: an event
    > CannotRegenerateKey asks the user to set Always
    > (https://cert-manager.io/docs/usage/certificate/#configuring-private-key-rotation; v1.11.5
    > pkg/controller/certificates/keymanager/keymanager_controller.go).

    Break: a cert-manager that replaces a key it was told to keep, or an istiod that reads RSA keys only.
    """
    kube, edited = mesh.kube, datetime.now(UTC)
    old = secret_chain(kube, ISTIO, CACERTS)[0]
    assert key_kind(old) == "RSA 2048"
    kept = {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Never"}
    kube.merge(CERTIFICATE, CACERTS, ISTIO, {"spec": {"privateKey": kept}})
    _await_event(kube, "CannotRegenerateKey", edited)
    assert serial_hex(secret_chain(kube, ISTIO, CACERTS)[0]) == serial_hex(old)

    for name, change, kind in (
        ("algorithm-ecdsa", {"rotationPolicy": "Always"}, "ECDSA 256"),
        ("algorithm-rsa", {"algorithm": "RSA", "size": 2048}, "RSA 2048"),
    ):
        rotation = rotations.rotate_under_load(name, {"privateKey": change})
        demand_everywhere(rotation)
        _demand_spec(rotation)
        assert key_kind(rotation.after.secret[0]) == kind


@conformance(id="rotation/rotation-policy", requires={"cert-manager", "istio"})
@pytest.mark.parametrize("policy", ["Always", "Never"])
def test_rotation_policy_says_whether_the_key_stays(rotations: Rotations, policy: str) -> None:
    """A rotation makes a new key where the policy is Always, and keeps the key where it is Never.

    > `rotationPolicy: Always` makes a new private key each time a certificate is issued, `Never` only
    > where there is none (https://cert-manager.io/docs/usage/certificate/#configuring-private-key-rotation).

    Break: a cert-manager that ignores the policy.
    """
    change = {"privateKey": {"rotationPolicy": policy}, "duration": longer(rotations.spec(), 1)}
    rotation = rotations.rotate_under_load(f"rotation-policy-{policy.lower()}", change)

    demand_everywhere(rotation)
    _demand_spec(rotation)
    old, new = rotation.before.secret[0], rotation.after.secret[0]
    assert (public_key_fingerprint(new) == public_key_fingerprint(old)) == (policy == "Never")


@conformance(id="rotation/repeated-edits", requires={"cert-manager", "istio"})
def test_repeated_edits_end_with_the_last(mesh: Mesh, rotations: Rotations) -> None:
    """Five edits in quick succession end with what the last one asks for, everywhere.

    > A request that no longer fits the spec is dropped and another one made
    > (https://github.com/cert-manager/cert-manager/blob/v1.11.5/pkg/controller/certificates/requestmanager/requestmanager_controller.go).

    Break: a cert-manager that issues by an outdated request, or an istiod that reads the volume half written.
    """
    spec = rotations.spec()
    edits = [{"duration": longer(spec, 10 * number)} for number in range(1, 6)]
    rotation = rotations.rotate_under_load("repeated-edits", *edits)

    issued = rotation.after.state.revision - rotation.before.state.revision
    reloads = sum(RELOADED in line.text for line in rotation.log)
    mesh.measure("repeatedEdits", {"edits": len(edits), "issued": issued, "reloads": reloads})
    demand_everywhere(rotation)
    _demand_spec(rotation)
    new = rotation.after.secret[0]
    assert new.not_valid_after_utc - new.not_valid_before_utc == go_duration(edits[-1]["duration"])
    assert rotation.after.state.requests == ()
    assert rotation.after.state.settled


@conformance(id="rotation/new-signs-old-lives", requires={"istio"})
def test_new_intermediate_signs_and_old_certificates_live(mesh: Mesh, rotations: Rotations) -> None:
    """After a rotation fresh workloads have the new issuer, and certificates by the old one are accepted.

    > A certificate is valid by its own path: its issuer's successor takes nothing from it
    > (RFC 5280 6.1; https://istio.io/latest/docs/tasks/security/cert-management/plugin-ca-cert/).

    A workload that runs since before the first rotation shows the old issuer. Its chain is judged by every
    proxy's bundle; it calls, and is called; and the callee's proxy says whose certificate it accepted.

    Break: a root that is exchanged along with the intermediate, or a peer that trusts intermediates.
    """
    if not rotations.done:
        rotations.rotate_under_load("new-signs", {"duration": longer(rotations.spec(), 2)})
    last = rotations.done[-1]
    demand_everywhere(last)
    assert last.newcomer
    kube = mesh.kube
    pod = _old_guard(kube)
    svid, now = proxy_svid(kube, ISTIOD_ISSUED, pod), datetime.now(UTC)
    issuer = serial_hex(svid.chain[1])
    assert issuer not in {rotation.after.serial for rotation in rotations.done}, "old-guard was signed anew"

    readings = read_proxies(kube, meshed_pods(kube))
    bundles = {str(reading.pod): reading.svid.bundle for reading in readings}
    bundles |= {"old-guard": svid.bundle, "a fresh workload": last.newcomer.bundle}
    assert len(bundles) > 2, "no proxy of SPIRE's was read"
    faults = [
        f"{who}: {mismatch}"
        for who, bundle in bundles.items()
        for mismatch in judge_svid(svid.chain, bundle, now=now, trust_domain=mesh.trust_domain).mismatches
    ]
    assert faults == []
    _demand_answers(kube, pod, svid.serial)


def _demand_spec(rotation: Rotation) -> None:
    """Demand what the spec asks for, and the key that the policy says."""
    old, new = rotation.before.secret[0], rotation.after.secret[0]
    spec = rotation.certificate["spec"]
    assert spec_faults(spec, new) == []
    kept = public_key_fingerprint(new) == public_key_fingerprint(old)
    assert kept == keeps_key(spec)


def _written(duration: timedelta) -> str:
    """Write a duration as Go does, to the second."""
    return f"{duration // timedelta(seconds=1)}s"


def _await_renewal(kube: Kube, renew_before: str) -> None:
    """Edit renewBefore, and wait until cert-manager has moved the renewal by it."""
    kube.merge(CERTIFICATE, CACERTS, ISTIO, {"spec": {"renewBefore": renew_before}})
    end = secret_chain(kube, ISTIO, CACERTS)[0].not_valid_after_utc
    renewal = (end - go_duration(renew_before)).strftime("%Y-%m-%dT%H:%M:%SZ")
    wait_for(
        lambda: certificate_state(kube),
        lambda state: state.settled and state.renewal == renewal,
        condition=f"cert-manager means to renew at {renewal}",
        timeout=timeouts().certificate_ready,
        delay=0.3,
    )


def _await_event(kube: Kube, reason: str, since: datetime) -> None:
    def seen() -> list[Object]:
        return [
            event
            for event in kube.list(EVENT, ISTIO)
            if event["involvedObject"].get("name") == CACERTS
            and event["reason"] == reason
            and datetime.fromisoformat(event["lastTimestamp"]) >= since.replace(microsecond=0)
        ]

    wait_for(
        seen,
        bool,
        condition=f"cert-manager says {reason} of the Certificate {CACERTS}",
        timeout=timeouts().certificate_ready,
        delay=0.3,
    )


def _old_guard(kube: Kube) -> str:
    pods = [pod for pod in kube.list(POD, ISTIOD_ISSUED, "app=old-guard") if is_running(pod)]
    if not pods:
        raise NothingObserved(f"the workload old-guard does not run in {ISTIOD_ISSUED}")
    return str(pods[0]["metadata"]["name"])


def _demand_answers(kube: Kube, old_guard: str, serial: str) -> None:
    """Let old-guard be called and call, and demand that its own certificate was accepted."""
    client = next(pod.name for pod in meshed_pods(kube) if pod.workload == "client")
    details = next(pod.name for pod in meshed_pods(kube) if pod.workload == "details")
    start = datetime.now(UTC) - timedelta(seconds=1)
    path = f"/meshproof-{uuid4().hex}"
    for namespace, pod, url in (
        (DEMO, client, f"http://old-guard.{ISTIOD_ISSUED}:{_PORT}{path}"),
        (ISTIOD_ISSUED, old_guard, f"http://details.{DEMO}:{_PORT}{path}"),
    ):
        printed = kube.exec(namespace, pod, "app", "/usr/bin/fortio", "curl", url, merge=True)
        reply = parse_fortio(printed)
        assert reply, f"fortio does not say what became of {url}: {printed[-500:]}"
        assert reply.code == 200, f"{url}: {reply}"
    accepted = wait_for(
        lambda: [
            line.serial_below
            for line in parse_access_log(kube.logs(DEMO, details, "istio-proxy", since=start))
            if line.path == path
        ],
        bool,
        condition=f"the proxy of {details} has logged the request of old-guard",
        timeout=timeouts().log_line,
        delay=0.5,
    )
    assert accepted == [serial]
