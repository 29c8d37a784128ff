"""Rotations and bad edits on minted certificates: whole ones, and each with one place doctored."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from fixtures.pki import TrustBundle, mint, serial_hex
from fixtures.probe.bad_edit import ANSWER, BadEdit, bad_edit_places, decision, signs_without_being_a_ca
from fixtures.probe.certificate import CertificateState, Condition
from fixtures.probe.istiod import IstiodPod, LogLine
from fixtures.probe.newcomer import Newcomer
from fixtures.probe.places import (
    LOG,
    METRIC,
    NEWCOMER,
    POD,
    SECRET,
    WEBHOOK,
    XDS,
    rotated_places,
    stale_places,
    table,
)
from fixtures.probe.rotation import RELOAD_LINES, Rotation, Snapshot, Steps

ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
FOREIGN = mint.authority(mint.CERT_MANAGER_ROOT)
CA = replace(mint.INTERMEDIATE, uris=(), dns=("istiod.istio-system.svc",))
OLD = mint.intermediate(ROOT, CA)
# The serial's first byte begins with a zero, which istiod's log leaves out.
NEW = mint.intermediate(ROOT, replace(CA, serial=0x0966_7838, not_after=mint.NOON + timedelta(hours=13)))
NO_CA = mint.intermediate(ROOT, replace(CA, ca=False, key_usage=frozenset({"digital_signature"})))
EDITED = mint.NOON - timedelta(minutes=1)
RUNNING = IstiodPod("istiod-1", "uid-1", 0, "node")
READY = Condition("Ready", "True", "Ready", "Certificate is up to date", 2)


def state(generation: int = 2, *conditions: Condition, requests: tuple[str, ...] = ()) -> CertificateState:
    return CertificateState({}, generation, 1, "", conditions or (READY,), requests)


def chain(by: mint.Issued, profile: mint.Profile = mint.SERVER) -> tuple[x509.Certificate, ...]:
    return mint.leaf(by, profile).chain


def seen(ca: mint.Issued, certificate: CertificateState | None = None) -> Snapshot:
    return Snapshot(
        time=mint.NOON,
        pod=RUNNING,
        roots=TrustBundle((ROOT.cert,)),
        secret=(ca.cert,),
        xds=chain(ca),
        webhook=chain(ca),
        chain_expiry=ca.cert.not_valid_after_utc.timestamp(),
        state=certificate or state(),
    )


def workload(ca: mint.Issued) -> Newcomer:
    bundle = TrustBundle((ROOT.cert,))
    given = chain(ca, mint.LEAF)
    return Newcomer("newcomer-1", EDITED, mint.NOON, mint.NOON, given, bundle, mint.WORKLOAD)


def lines(ca: mint.Issued) -> tuple[LogLine, ...]:
    own = f'x509 cert - Issuer: "root", Subject: "istiod", SN: {ca.cert.serial_number:x}, NotBefore: ""'
    texts = [*RELOAD_LINES[:3], RELOAD_LINES[3], own, RELOAD_LINES[5], RELOAD_LINES[6]]
    return tuple(LogLine(EDITED, "info", text) for text in texts)


WHOLE = Rotation("grow", {}, seen(OLD), seen(NEW), Steps(EDITED), lines(NEW), workload(NEW), "")


def after(rotation: Rotation, **changes: object) -> Rotation:
    return replace(rotation, after=replace(rotation.after, **changes))  # type: ignore[arg-type]


def test_rotation_that_is_everywhere_has_no_stale_place() -> None:
    places = rotated_places(WHOLE)

    assert stale_places(places) == []
    assert {place.name for place in places} == {SECRET, LOG, POD, XDS, WEBHOOK, METRIC, NEWCOMER}


@pytest.mark.parametrize(
    ("doctored", "place"),
    [
        (after(WHOLE, xds=chain(OLD)), XDS),
        (after(WHOLE, webhook=chain(OLD)), WEBHOOK),
        (after(WHOLE, xds=chain(NEW)[:1]), XDS),
        (after(WHOLE, chain_expiry=OLD.cert.not_valid_after_utc.timestamp()), METRIC),
        (after(WHOLE, chain_expiry=None), METRIC),
        (after(WHOLE, pod=replace(RUNNING, restarts=1)), POD),
        (after(WHOLE, pod=replace(RUNNING, uid="uid-2")), POD),
        (replace(WHOLE, log=WHOLE.log[:-1]), LOG),
        (replace(WHOLE, log=lines(OLD)), LOG),
        (replace(WHOLE, log=()), LOG),
        (replace(WHOLE, newcomer=workload(OLD)), NEWCOMER),
        (replace(WHOLE, newcomer=None, stuck="not Ready"), NEWCOMER),
        (replace(WHOLE, newcomer=replace(workload(NEW), bundle=TrustBundle((FOREIGN.cert,)))), NEWCOMER),
        (replace(WHOLE, newcomer=replace(workload(NEW), chain=workload(NEW).chain[:1])), NEWCOMER),
    ],
)
def test_one_stale_place_is_found_and_no_other(doctored: Rotation, place: str) -> None:
    assert stale_places(rotated_places(doctored)) == [place]


def test_secret_that_did_not_change_is_stale_and_so_is_the_log() -> None:
    nothing = replace(WHOLE, after=WHOLE.before, log=(), newcomer=workload(OLD))

    assert stale_places(rotated_places(nothing)) == [SECRET, LOG]


def test_intermediate_of_another_root_is_no_good_anywhere() -> None:
    foreign = mint.intermediate(FOREIGN, CA)
    taken = replace(WHOLE, after=seen(foreign), log=lines(foreign), newcomer=workload(foreign))

    assert stale_places(rotated_places(taken)) == [SECRET, XDS, WEBHOOK, NEWCOMER]


def test_refused_intermediate_leaves_all_but_the_secret_stale() -> None:
    foreign = mint.intermediate(FOREIGN, CA)
    kept = replace(WHOLE, after=replace(seen(OLD), secret=(foreign.cert,)), newcomer=workload(OLD))

    assert set(stale_places(rotated_places(replace(kept, log=())))) >= {SECRET, LOG, XDS, WEBHOOK, NEWCOMER}


def test_message_shows_places_in_order_as_well_as_stale_ones() -> None:
    text = table(rotated_places(after(WHOLE, xds=chain(OLD))), "waited in vain")

    assert text.startswith("1 of 7 places are not as they ought to be: port 15012\n")
    assert f"not followed by {serial_hex(NEW.cert)}" in text
    assert all(name in text for name in (SECRET, LOG, POD, WEBHOOK, METRIC, NEWCOMER, "waited in vain"))


NOT_READY = state(
    3, Condition("Ready", "False", "RequestChanged", "spec.issuerRef", 3), requests=('"nobody" not found',)
)
UNKNOWN = BadEdit("", seen(OLD), seen(OLD, NOT_READY), (), workload(OLD), "", "")
REFUSED = replace(UNKNOWN, refused="denied the request: no", after=seen(OLD))
REFUSAL = "Failed to update new Plug-in CA certs: the cert does not match the key"
LOOKED, TOOK = LogLine(EDITED, "info", RELOAD_LINES[0]), LogLine(EDITED, "info", RELOAD_LINES[-1])
TAKEN = BadEdit("", seen(OLD), seen(NO_CA, state(2)), (LOOKED, TOOK), None, "no", "")


def test_bad_edit_without_effect_is_in_order() -> None:
    assert stale_places(bad_edit_places(UNKNOWN, '"nobody" not found')) == []
    assert stale_places(bad_edit_places(REFUSED, "denied")) == []


@pytest.mark.parametrize(
    ("doctored", "place"),
    [
        (replace(UNKNOWN, after=seen(OLD)), ANSWER),
        (replace(UNKNOWN, unanswered="not within 120 s"), ANSWER),
        (replace(REFUSED, after=seen(OLD, NOT_READY)), ANSWER),
        (replace(UNKNOWN, after=replace(UNKNOWN.after, secret=(NEW.cert,))), SECRET),
        (replace(UNKNOWN, after=replace(UNKNOWN.after, xds=chain(NEW))), XDS),
        (replace(UNKNOWN, after=replace(UNKNOWN.after, webhook=chain(NEW))), WEBHOOK),
        (replace(UNKNOWN, after=replace(UNKNOWN.after, pod=replace(RUNNING, restarts=1))), POD),
        (replace(UNKNOWN, newcomer=None, alone="not Ready"), NEWCOMER),
        (replace(UNKNOWN, newcomer=workload(NEW)), NEWCOMER),
    ],
)
def test_one_effect_of_a_bad_edit_is_found(doctored: BadEdit, place: str) -> None:
    says = "denied" if doctored.refused else "not found" if doctored.after.state.requests else ""

    assert stale_places(bad_edit_places(doctored, says)) == [place]


def test_answer_without_the_reason_is_no_answer() -> None:
    assert stale_places(bad_edit_places(UNKNOWN, "must be greater")) == [ANSWER]


@pytest.mark.parametrize(
    ("edit", "signs"),
    [
        (TAKEN, True),
        (replace(TAKEN, log=(LOOKED,)), False),
        (replace(TAKEN, after=replace(TAKEN.after, xds=chain(OLD))), False),
        (replace(TAKEN, after=seen(NEW)), False),
        (UNKNOWN, False),
    ],
)
def test_gap_is_one_certificate_that_is_no_ca_and_signs(edit: BadEdit, signs: bool) -> None:
    assert signs_without_being_a_ca(edit) is signs


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ((RELOAD_LINES[0], "x", RELOAD_LINES[-1]), RELOAD_LINES[-1]),
        (
            (RELOAD_LINES[0], "Failed to update new Plug-in CA certs: x"),
            "Failed to update new Plug-in CA certs: x",
        ),
        ((RELOAD_LINES[-1], RELOAD_LINES[0]), ""),
        (("x",), ""),
    ],
)
def test_decision_is_the_line_after_istiod_has_looked(texts: tuple[str, ...], told: str) -> None:
    assert decision([LogLine(EDITED, "info", text) for text in texts]) == told
