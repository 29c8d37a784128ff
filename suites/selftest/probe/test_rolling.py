"""The judgement of SPIRE's own rotation: what is right passes, and each break is named."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, cast

import pytest

from fixtures.cluster.kube import CONFIG_MAP, POD, Kind, Kube, Object
from fixtures.cluster.wait import wait_for
from fixtures.pki import TrustBundle, mint, serial_hex
from fixtures.pki.facts import Facts
from fixtures.probe.rolling import parse_authority_events, sampling
from fixtures.probe.samples import (
    AuthorityEvent,
    Gap,
    Proxy,
    Recording,
    Seen,
    Spell,
    Track,
    due,
    figures,
    renew_faults,
    renewals,
    roll_faults,
    roll_overs,
    trust_faults,
    unknowns,
    unrenewed,
    unrolled,
)
from fixtures.probe.sds import ProxySvid

ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
OTHER_ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
ROOTS = TrustBundle((ROOT.cert,))
OTHER_ROOTS = TrustBundle((OTHER_ROOT.cert,))
DOMAIN = "example.org"
# SPIRE's fast pace: leaves of a minute that are renewed after 25 s, and a CA of six minutes, whose
# next one is in use 40 s after the sampling began. That lasts for two minutes.
RENEWED = 25
ACTIVATED = 40
END = 120


def at(seconds: float) -> datetime:
    return mint.NOON + timedelta(seconds=seconds)


def ca(made: float, root: mint.Issued = ROOT) -> mint.Issued:
    return mint.intermediate(root, replace(mint.INTERMEDIATE, not_before=at(made), not_after=at(made + 360)))


OLD_CA, NEW_CA = ca(ACTIVATED - 300), ca(ACTIVATED - 120)


def svid(by: mint.Issued, issued: float, bundle: TrustBundle = ROOTS, **deviation: object) -> ProxySvid:
    profile = replace(mint.LEAF, not_before=at(issued - 10), not_after=at(issued + 60))
    leaf = mint.leaf(by, replace(profile, **deviation))  # type: ignore[arg-type]
    return ProxySvid(leaf.chain, bundle, (DOMAIN,))


def spells(first: int) -> list[Spell[ProxySvid]]:
    """What a healthy proxy shows, whose first leaf was issued at a second below zero."""
    found = []
    for issued in range(first, END, RENEWED):
        by = NEW_CA if issued >= ACTIVATED else OLD_CA
        end = min(issued + RENEWED - 0.5, END)
        found.append(Spell(svid(by, issued), at(max(0, issued + 0.5)), at(end)))
    return found


def proxy(name: str, seen: Iterable[Spell[ProxySvid]], **more: object) -> Proxy:
    made = Track(f"bookinfo/{name}", at(0), True, False, tuple(seen), END, ())
    return replace(made, **more)  # type: ignore[arg-type]


A, B = spells(-20), spells(-13)
EVENTS = [
    AuthorityEvent(time, activated, (Facts.read(0, authority.cert).subject_key_id or b"").hex())
    for authority, made in ((OLD_CA, ACTIVATED - 300), (NEW_CA, ACTIVATED - 120))
    for time, activated in ((at(made), False), (at(made + 120), True))
]


def recording(a: list[Spell[ProxySvid]] = A, b: list[Spell[ProxySvid]] = B, **more: object) -> Recording:
    bundle = Spell(ROOTS, at(0), at(END))
    published = Track("spire/spire-bundle", at(0), True, False, (bundle,), END, ())
    made = Recording(at(0), at(END), (proxy("a", a), proxy("b", b)), published)
    return replace(made, **more)  # type: ignore[arg-type]


def with_svid(seen: list[Spell[ProxySvid]], place: int, held: ProxySvid) -> list[Spell[ProxySvid]]:
    return [replace(one, held=held) if at == place else one for at, one in enumerate(seen)]


# --- a healthy mesh ----------------------------------------------------------------------------


def test_a_healthy_mesh_has_no_faults() -> None:
    assert trust_faults(recording(), DOMAIN) == []
    assert roll_faults(recording(), ROOTS, EVENTS) == []
    assert renew_faults(recording()) == []
    assert unknowns(recording()) + unrolled(recording()) + unrenewed(recording()) == []


def test_a_roll_over_is_told_with_who_moved_when() -> None:
    (found,) = roll_overs(recording())
    assert found.ca == (NEW_CA.cert,)
    assert (found.issued, found.first_seen, found.proxy) == (at(55), at(55.5), "bookinfo/a")
    assert found.moved == {"bookinfo/a": at(55.5), "bookinfo/b": at(62.5)}
    assert found.waiting == ()
    assert found.seconds == 7


def test_a_ca_that_a_proxy_showed_at_the_beginning_is_no_roll_over() -> None:
    a = [replace(A[3], first_seen=at(0), last_seen=at(79.5)), *A[4:]]
    assert roll_overs(recording(a=a)) == []
    assert unrolled(recording(a=a)) == ["0 CAs of SPIRE's, not 1, came into use at every proxy"]


def test_one_roll_over_is_not_several() -> None:
    assert unrolled(recording(), 2) == ["1 CAs of SPIRE's, not 2, came into use at every proxy"]
    assert due(recording(), 2) > due(recording())


def test_figures_are_measured() -> None:
    measured = figures(recording(), EVENTS)
    assert measured["rollOvers"] == measured["activationsLogged"] == 1
    assert measured["renewals"] == 10
    assert measured["movedWithin"] == 7
    assert measured["fractionP50"] == measured["fractionMax"] == 0.507


def test_a_judgement_is_due_when_ca_and_leaves_have_changed() -> None:
    # Activation, the server's round of 10 s, the agent's of 5.5 s, and a leaf's life of 70 s.
    assert due(recording()) == at(max(ACTIVATED + 10 + 5.5 + 70, 2 * 70))
    assert due(recording(began=at(-60))) == at(ACTIVATED + 10 + 5.5 + 70)


def test_no_ca_at_any_proxy_has_no_due_time() -> None:
    bare = ProxySvid(A[0].held.chain[:1], ROOTS, (DOMAIN,))
    with pytest.raises(ValueError):
        due(recording(a=[replace(A[0], held=bare)], b=[]))


# --- every peer trusts everyone at every moment ------------------------------------------------


def test_a_bundle_that_lacks_the_root_refuses_its_peers() -> None:
    b = with_svid(B, 1, replace(B[1].held, bundle=OTHER_ROOTS))
    found = trust_faults(recording(b=b), DOMAIN)
    assert found[0].startswith(
        f"12:00:12: bookinfo/a ({A[1].held.serial}) is refused by the bundle of bookinfo/b"
    )
    assert {fault.split(" is ")[0].split(" (")[0][10:] for fault in found} == {"bookinfo/a"}


def test_a_chain_of_another_root_is_refused_by_all_others() -> None:
    a = with_svid(A, 3, svid(ca(ACTIVATED - 120, OTHER_ROOT), 55))
    found = trust_faults(recording(a=a), DOMAIN)
    assert sum("bundle of bookinfo/b" in fault for fault in found) == 1
    assert sum("bundle of spire/spire-bundle" in fault for fault in found) == 1


def test_a_leaf_that_ends_while_it_is_held_is_refused_from_then_on() -> None:
    a = [*A[:-2], replace(A[-2], last_seen=at(141))]
    b = [*B[:-1], replace(B[-1], last_seen=at(141))]
    found = trust_faults(recording(a=a, b=b, ended=at(141)), DOMAIN)
    assert [fault[:19] for fault in found] == ["12:02:21: bookinfo/"]
    assert A[-2].held.serial in found[0]


# --- SPIRE's CA --------------------------------------------------------------------------------


def test_a_ca_of_another_root_is_named() -> None:
    foreign = ca(ACTIVATED - 120, OTHER_ROOT)
    a = with_svid(A, 3, svid(foreign, 55))
    found = roll_faults(recording(a=a), ROOTS, EVENTS)
    assert any(f"CA {serial_hex(foreign.cert)}: not issued by cert-manager's root" in one for one in found)


def test_a_bundle_that_comes_after_the_first_use_is_named() -> None:
    b = [replace(one, held=replace(one.held, bundle=OTHER_ROOTS)) for one in B[:3]] + B[3:]
    found = roll_faults(recording(b=b), ROOTS, EVENTS)
    assert found == [
        f"CA {serial_hex(NEW_CA.cert)}:"
        " its issuer was not in the bundle of bookinfo/b at its first use, 12:00:55"
    ]


def test_a_proxy_that_did_not_move_is_named() -> None:
    b = [*B[:-3], replace(B[-4], held=svid(OLD_CA, 37), first_seen=at(37.5), last_seen=at(130))]
    found = roll_faults(recording(b=b, ended=at(130)), ROOTS, EVENTS)
    assert any(
        "bookinfo/b still showed an older CA at 12:02:10, 74 s after bookinfo/a" in one for one in found
    )
    assert unrolled(recording(b=b))


def test_a_leaf_by_the_old_ca_after_the_first_by_the_new_one_is_named() -> None:
    b = with_svid(B, 3, svid(OLD_CA, 62))
    (fault,) = roll_faults(recording(b=b), ROOTS, EVENTS)
    assert "bookinfo/b was given" in fault
    assert "by an older CA at 12:01:02, after the first use of this one at 12:00:55" in fault


def test_a_roll_over_that_never_came_is_named() -> None:
    a, b = (
        [replace(one, held=svid(OLD_CA, (one.held.not_before - at(-10)).total_seconds())) for one in seen]
        + [Spell(svid(OLD_CA, 130), at(130.5), at(140))]
        for seen in (A, B)
    )
    found = roll_faults(recording(a=a, b=b, ended=at(140)), ROOTS, EVENTS[:2])
    assert [fault.partition(";")[0] for fault in found] == [
        f"CA {serial_hex(OLD_CA.cert)}: bookinfo/{name} showed it at 12:02:20" for name in "ab"
    ]


def test_a_ca_that_the_server_never_activated_is_named() -> None:
    found = " ".join(roll_faults(recording(), ROOTS, EVENTS[:2]))
    assert "does not log that it activated it, and bookinfo/a showed it" in found
    assert "does not log that it prepared it" in found


def test_a_ca_in_use_before_its_activation_is_named() -> None:
    late = [*EVENTS[:3], replace(EVENTS[3], time=at(70))]
    (fault,) = roll_faults(recording(), ROOTS, late)
    assert "in use from 12:00:55, activated only at 12:01:10" in fault


def test_a_ca_activated_before_its_preparation_is_named() -> None:
    (fault,) = roll_faults(recording(), ROOTS, [*EVENTS[:2], replace(EVENTS[2], time=at(50)), EVENTS[3]])
    assert "activated at 12:00:40, before it was prepared at 12:00:50" in fault


def test_a_ca_that_no_proxy_took_is_named() -> None:
    unused = AuthorityEvent(at(10), True, "abcd")
    assert roll_faults(recording(), ROOTS, [*EVENTS, unused]) == [
        "CA abcd: activated at 12:00:10, and no proxy ever showed it"
    ]
    # One activated in the last minute may still come.
    assert roll_faults(recording(), ROOTS, [*EVENTS, replace(unused, time=at(60))]) == []


def test_a_leaf_without_its_issuer_is_named() -> None:
    a = with_svid(A, 2, replace(A[2].held, chain=A[2].held.chain[:1]))
    assert roll_faults(recording(a=a), ROOTS, EVENTS) == ["12:00:30: bookinfo/a does not present its issuer"]


# --- renewals ----------------------------------------------------------------------------------


def test_a_repeated_serial_is_named() -> None:
    number = B[1].held.leaf.serial_number
    a = with_svid(A, 4, svid(NEW_CA, 80, serial=number))
    assert renew_faults(recording(a=a)) == [
        f"serial {B[1].held.serial} came twice: bookinfo/a at 12:01:20, bookinfo/b at 12:00:12"
    ]


def test_a_leaf_that_comes_back_is_a_repeated_serial() -> None:
    a = with_svid(A, 2, A[0].held)
    assert any(
        one.startswith(f"serial {A[0].held.serial} came twice") for one in renew_faults(recording(a=a))
    )


def test_a_reused_key_is_named() -> None:
    key = mint.new_key("p256")
    made = [
        mint.leaf(by, replace(mint.LEAF, not_before=at(issued - 10), not_after=at(issued + 60)), key=key)
        for by, issued in ((OLD_CA, 30), (NEW_CA, 55))
    ]
    a = [
        *A[:2],
        *(replace(s, held=replace(s.held, chain=m.chain)) for s, m in zip(A[2:4], made, strict=True)),
        *A[4:],
    ]
    found = renew_faults(recording(a=a))
    assert found[0] == "bookinfo/a at 12:00:55: renewed with the same key"
    assert "came twice: bookinfo/a at 12:00:30, bookinfo/a at 12:00:55" in found[1]


def test_a_key_that_two_proxies_hold_is_named() -> None:
    found = renew_faults(recording(a=with_svid(A, 1, B[1].held)))
    assert any(one.startswith("key ") and "bookinfo/a" in one and "bookinfo/b" in one for one in found)


def test_a_late_renewal_is_named() -> None:
    late = Spell(svid(NEW_CA, 75), at(75.5), at(104.5))
    a = [*A[:2], replace(A[2], last_seen=at(74.5)), late, A[-1]]
    assert renew_faults(recording(a=a)) == [
        "bookinfo/a at 12:01:15: renewed with 15 s left, expected 24 to 40 s",
        "bookinfo/a at 12:01:15: its new leaf came when 79% of the old one's lifetime was over",
        f"bookinfo/a, {A[2].held.serial}: not renewed by 12:01:14, with 16 s left",
    ]


def test_an_early_renewal_is_named() -> None:
    early = Spell(svid(OLD_CA, 15), at(15.5), at(29.5))
    a = [A[0], replace(A[1], last_seen=at(14.5)), early, *A[2:]]
    found = renew_faults(recording(a=a))
    assert "bookinfo/a at 12:00:15: renewed with 50 s left, expected 24 to 40 s" in found


def test_a_proxy_that_shows_the_old_leaf_too_long_is_named() -> None:
    a = [
        *A[:2],
        replace(A[2], last_seen=at(91)),
        replace(A[3], first_seen=at(91.5), last_seen=at(92)),
        *A[5:],
    ]
    found = renew_faults(recording(a=a))
    assert f"bookinfo/a, {A[2].held.serial}: held at 12:01:31, expired at 12:01:30" in found


def test_a_leaf_that_outlives_its_issuer_is_named() -> None:
    a = with_svid(A, 3, svid(NEW_CA, 55, not_after=at(281)))
    assert any(
        "valid until 12:04:41, its issuer until 12:04:40" in one for one in renew_faults(recording(a=a))
    )


def test_another_identity_after_a_renewal_is_named() -> None:
    a = with_svid(A, len(A) - 1, svid(NEW_CA, 105, uris=("spiffe://example.org/ns/default/sa/ratings",)))
    assert renew_faults(recording(a=a)) == [
        "bookinfo/a at 12:01:45: it was spiffe://example.org/ns/default/sa/reviews"
        " and is spiffe://example.org/ns/default/sa/ratings"
    ]


def test_a_new_bundle_is_no_renewal() -> None:
    wide = ROOTS.union(OTHER_ROOTS)
    half = replace(A[0], first_seen=at(3), held=replace(A[0].held, bundle=wide))
    a = [replace(A[0], last_seen=at(2)), half, *A[1:]]
    assert len(renewals(proxy("a", a))) == len(A) - 1
    assert renew_faults(recording(a=a)) == []
    assert trust_faults(recording(a=a), DOMAIN) == []


def test_a_proxy_with_one_renewal_is_not_enough() -> None:
    assert unrenewed(recording(a=A[:2])) == ["bookinfo/a renewed 1 times of 2"]


def test_who_came_later_or_went_need_not_have_renewed() -> None:
    few = (proxy("c", A[4:5], from_start=False), proxy("d", A[:1], gone=True))
    assert unrenewed(recording(proxies=(proxy("b", B), *few))) == []
    assert unrenewed(recording(proxies=few)) == ["no proxy was there all the time"]


# --- what was not seen -------------------------------------------------------------------------


def test_a_short_gap_is_counted_and_forgiven() -> None:
    gap = Gap(at(10), at(13), "timed out")
    seen = recording(proxies=(proxy("a", A, gaps=(gap,)), proxy("b", B)))
    assert gap.missed == 2
    assert unknowns(seen) == []
    assert (figures(seen, ())["gaps"], figures(seen, ())["missed"]) == (1, 2)


def test_a_long_gap_makes_a_proxy_unknown() -> None:
    gap = Gap(at(10), at(16), "timed out")
    seen = recording(proxies=(proxy("a", A, gaps=(gap,)), proxy("b", B)))
    assert unknowns(seen) == ["bookinfo/a was not sampled from 12:00:10 to 12:00:16: timed out"]


def test_a_proxy_that_was_never_sampled_is_unknown() -> None:
    gap = Gap(at(0), at(END), "connection refused")
    never = proxy("c", (), gaps=(gap,))
    seen = recording(proxies=(proxy("a", A), never))
    assert unknowns(seen) == ["bookinfo/c was never sampled: connection refused"]
    assert unknowns(recording(proxies=(replace(never, gone=True),))) == []


def test_a_proxy_that_answered_late_is_unknown() -> None:
    assert unknowns(recording(a=A[1:])) == []
    assert unknowns(recording(a=A[2:])) == ["bookinfo/a was first sampled at 12:00:30"]


def test_a_place_keeps_changes_only() -> None:
    seen = Seen[str]("a", at(0), from_start=True)
    for second, state in enumerate(("x", None, "x", "y", None)):
        seen.saw(state, at(second))
    track = seen.track(at(4))
    assert track.spells == (Spell("x", at(0), at(2)), Spell("y", at(3), at(4)))
    assert (track.samples, track.gaps) == (5, ())


def test_a_place_counts_its_gaps_with_the_reason() -> None:
    seen = Seen[str]("a", at(0), from_start=True)
    seen.saw("x", at(0))
    seen.saw(None, at(1.4))
    seen.failed("timed out")
    seen.saw(None, at(4))
    seen.saw(None, at(6))
    assert seen.track(at(9)).gaps == (
        Gap(at(1.4), at(4), "timed out"),
        Gap(at(4), at(6), "sampled too late"),
        Gap(at(6), at(9), "sampled too late"),
    )
    seen.gone = True
    assert len(seen.track(at(9)).gaps) == 2


def test_a_place_that_never_answered_is_one_gap() -> None:
    seen = Seen[str]("a", at(0), from_start=True)
    seen.failed("connection refused")
    assert seen.track(at(7)).gaps == (Gap(at(0), at(7), "connection refused"),)


def test_log_of_the_server_tells_of_its_cas() -> None:
    log = (
        'time="2026-11-25T01:33:11Z" level=debug msg="Preparing X509 CA" slot=A subsystem_name=ca_manager\n'
        'time="2026-11-25T01:34:11Z" level=info msg="X509 CA prepared"'
        ' expiration="2026-11-25 01:40:11 +0000 UTC" issued_at="2026-11-25 01:34:11.08 +0000 UTC"'
        " local_authority_id=6b2bba self_signed=false slot=A"
        " subsystem_name=ca_manager upstream_authority_id=db1b43\n"
        'time="2026-11-25T01:36:11Z" level=info msg="X509 CA activated"'
        ' expiration="2026-11-25 01:40:11 +0000 UTC" issued_at="2026-11-25 01:34:11.08 +0000 UTC"'
        " local_authority_id=6b2bba slot=A"
        " subsystem_name=ca_manager upstream_authority_id=db1b43\n"
    )
    prepared = datetime.fromisoformat("2026-11-25T01:34:11Z")
    assert parse_authority_events(log) == [
        AuthorityEvent(prepared, False, "6b2bba"),
        AuthorityEvent(prepared + timedelta(minutes=2), True, "6b2bba"),
    ]


# --- the sampler -------------------------------------------------------------------------------


class Admin(BaseHTTPRequestHandler):
    """Envoy's admin interface, as far as the sampler needs it."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[list[bytes]] = []
    connections: ClassVar[set[object]] = set()

    def do_GET(self) -> None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.connections.add(self.client_address)
        self.send_response(200 if answer else 503)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Cluster:
    """A cluster with one pod, whose proxy is the server of this test."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.pods = [
            {
                "metadata": {"namespace": "bookinfo", "name": "a", "uid": "1"},
                "spec": {"serviceAccountName": "a"},
                "status": {"phase": "Running"},
            }
        ]

    def list(self, kind: Kind, namespace: str | None = None, labels: str = "") -> Sequence[Object]:
        assert kind == POD
        return [] if namespace else self.pods

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        assert (kind, name, namespace) == (CONFIG_MAP, "spire-bundle", "spire")
        return {"data": {"bundle.crt": mint.pem(ROOT.cert).decode()}}

    @contextmanager
    def forward(self, namespace: str, target: str, port: int) -> Iterator[int]:
        assert (namespace, target, port) == ("bookinfo", "pod/a", 15000)
        yield self.port


def listing(held: ProxySvid) -> bytes:
    """Envoy's listing of a proxy's secrets."""
    chain = {"inline_string": mint.pem(*held.chain).decode()}
    roots = {"trusted_ca": {"inline_string": mint.pem(*held.bundle.authorities).decode()}}
    configs = [
        {"name": "default", "secret": {"tls_certificate": {"certificate_chain": chain}}},
        {"name": "ROOTCA", "secret": {"validation_context": roots}},
    ]
    return json.dumps({"configs": configs}).encode()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster whose proxy answers on a port of this machine."""
    Admin.answers, Admin.connections = [], set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Admin)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield Cluster(server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


def test_sampler_keeps_changes_over_one_connection(cluster: Cluster) -> None:
    first, second = A[0].held, A[1].held
    Admin.answers = [listing(first), listing(first), listing(second)]
    with sampling(cast(Kube, cluster)) as sampler:
        wait_for(
            lambda: [len(proxy.spells) for proxy in sampler.recording().proxies],
            lambda counts: counts == [2],
            condition="the sampler sees the new leaf",
            timeout=10,
            delay=0.1,
        )
    (seen,) = sampler.recording().proxies
    assert [spell.held.chain for spell in seen.spells] == [first.chain, second.chain]
    assert seen.spells[0].held.bundle is seen.spells[1].held.bundle
    assert (seen.name, seen.from_start, seen.gone, seen.gaps) == ("bookinfo/a", True, False, ())
    assert seen.spells[0].last_seen - seen.spells[0].first_seen > timedelta(seconds=0.9)
    assert len(Admin.connections) == 1
    assert [spell.held.authorities for spell in sampler.recording().published.spells] == [(ROOT.cert,)]


def test_sampler_counts_what_a_proxy_does_not_answer(cluster: Cluster) -> None:
    held = A[0].held
    Admin.answers = [listing(held), b"", listing(held)]
    with sampling(cast(Kube, cluster)) as sampler:
        wait_for(
            lambda: [len(proxy.gaps) for proxy in sampler.recording().proxies],
            lambda counts: counts == [1],
            condition="the sampler has left out a second",
            timeout=10,
            delay=0.1,
        )
        wait_for(
            lambda: [proxy.samples for proxy in sampler.recording().proxies],
            lambda samples: samples >= [2],
            condition="the proxy answers again",
            timeout=10,
            delay=0.1,
        )
    (seen,) = sampler.recording().proxies
    assert len(seen.spells) == 1
    assert [(gap.missed, gap.reason) for gap in seen.gaps] == [(1, "HTTP 503")]
