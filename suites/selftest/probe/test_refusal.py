"""The judgement of a refusal: what is right passes, and each fault is named, by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from fixtures.pki import TrustBundle, mint, serial_hex
from fixtures.probe.istiod import WEBHOOK_PORT, XDS_PORT, IstiodPod, LogLine
from fixtures.probe.newcomer import Newcomer
from fixtures.probe.refusal import (
    ISTIO_LAYOUT,
    Observation,
    Refusal,
    endings,
    explained,
    layout_faults,
    refusal_faults,
    reload_faults,
)
from fixtures.probe.rotation import ACCEPTED, LOOKED, RELOAD_LINES, TLS_LAYOUT

WARNING = "Multi root is disabled, updating new ROOT-CA not supported"
REFUSAL = Refusal("warn", WARNING)

ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
OTHER_ROOT = mint.authority(mint.CERT_MANAGER_ROOT)
ROOTS = TrustBundle((ROOT.cert,))
_PROFILE = replace(mint.INTERMEDIATE, uris=(), dns=("istiod.istio-system.svc",))
GOOD = mint.intermediate(ROOT, _PROFILE)
OTHER = mint.intermediate(ROOT, _PROFILE)
NO_AUTHORITY = mint.leaf(ROOT, mint.SERVER)
POD = IstiodPod("istiod-1", "uid-1", 0, "node")
CHANGED = mint.NOON


def after(seconds: float) -> datetime:
    return CHANGED + timedelta(seconds=seconds)


def log(*texts: str) -> tuple[LogLine, ...]:
    return tuple(LogLine(after(index + 1), *text.split(" ", 1)) for index, text in enumerate(texts))


def served(by: mint.Issued) -> tuple[x509.Certificate, ...]:
    return (*mint.leaf(by, mint.SERVER).chain, by.root)


def newcomer(by: mint.Issued, bundle: Sequence[x509.Certificate] = (ROOT.cert,)) -> Newcomer:
    return Newcomer(
        pod="newcomer-1",
        created=after(3),
        first_certificate=after(5),
        ready=after(6),
        chain=mint.leaf(by).chain,
        bundle=TrustBundle(tuple(bundle)),
        spiffe_id=mint.WORKLOAD,
    )


REFUSED = log(f"info {LOOKED}", f"info {TLS_LAYOUT}", f"warn {WARNING}")
RELOADED = log(*(f"info {text} ..." if "Issuer" in text else f"info {text}" for text in RELOAD_LINES))
SEEN = Observation(
    changed=CHANGED,
    signer=GOOD.cert,
    roots=ROOTS,
    before=POD,
    after=POD,
    log=REFUSED,
    read=after(4),
    served={XDS_PORT: served(GOOD), WEBHOOK_PORT: served(GOOD)},
    newcomer=newcomer(GOOD),
)


def test_refusal_without_effect_has_no_fault() -> None:
    assert refusal_faults(SEEN, REFUSAL) == []


def test_refusal_at_every_look_has_no_fault() -> None:
    assert refusal_faults(replace(SEEN, log=REFUSED + REFUSED), REFUSAL) == []


def test_istiod_that_did_not_look_is_found() -> None:
    assert refusal_faults(replace(SEEN, log=()), REFUSAL) == [
        f"istiod did not look: its log lacks {LOOKED!r}",
        f"istiod does not log 'warn: {WARNING}'",
    ]


def test_line_that_belongs_to_no_look_is_no_refusal() -> None:
    assert refusal_faults(replace(SEEN, log=REFUSED[::-1]), REFUSAL) == [
        f"istiod does not log 'warn: {WARNING}'"
    ]


def test_other_level_is_another_answer() -> None:
    seen = replace(SEEN, log=log(f"info {LOOKED}", f"error {WARNING}"))

    assert refusal_faults(seen, REFUSAL) == [
        f"istiod does not log 'warn: {WARNING}'",
        f"istiod answers otherwise: error {WARNING}",
    ]


def test_text_must_match_to_its_end() -> None:
    seen = replace(SEEN, log=log(f"info {LOOKED}", f"warn {WARNING} (ignored)"))

    assert refusal_faults(seen, REFUSAL) == [
        f"istiod does not log 'warn: {WARNING}'",
        f"istiod answers otherwise: warn {WARNING} (ignored)",
    ]


def test_times_in_a_line_are_matched_by_their_form() -> None:
    text = "Failed to update new Plug-in CA certs: expired: current time 2030 is after 2029"
    refusal = Refusal("error", r"Failed to update .*: current time \S+ is after \S+")

    assert refusal_faults(replace(SEEN, log=log(f"info {LOOKED}", f"error {text}")), refusal) == []


def test_acceptance_is_found() -> None:
    seen = replace(SEEN, log=RELOADED)

    assert seen.accepted
    assert refusal_faults(seen, REFUSAL) == [
        f"istiod does not log 'warn: {WARNING}'",
        f"istiod accepts it: info {ACCEPTED}",
    ]


def test_acceptance_after_a_refusal_is_found() -> None:
    """The kubelet may write the files in two rounds, and istiod look twice."""
    assert refusal_faults(replace(SEEN, log=REFUSED + RELOADED), REFUSAL) == [
        f"istiod accepts it: info {ACCEPTED}"
    ]


@pytest.mark.parametrize(
    "again", [IstiodPod("istiod-2", "uid-2", 0, "node"), IstiodPod("istiod-1", "uid-1", 1, "node")]
)
def test_istiod_that_was_started_anew_is_found(again: IstiodPod) -> None:
    assert refusal_faults(replace(SEEN, after=again), REFUSAL) == [
        f"istiod was started anew: {POD} became {again}"
    ]


@pytest.mark.parametrize("port", [XDS_PORT, WEBHOOK_PORT])
def test_port_that_serves_another_intermediate_is_found(port: int) -> None:
    seen = replace(SEEN, served={**SEEN.served, port: served(OTHER)})

    assert refusal_faults(seen, REFUSAL) == [
        f"port {port}: its leaf is not followed by {serial_hex(GOOD.cert)}"
    ]


def test_leaf_that_another_key_signed_is_found_on_its_port() -> None:
    forged = mint.leaf(GOOD, mint.SERVER, with_key=OTHER.key)
    seen = replace(SEEN, served={**SEEN.served, XDS_PORT: (*forged.chain, ROOT.cert)})

    faults = refusal_faults(seen, REFUSAL)

    assert [fault.partition(":")[0] for fault in faults] == [f"port {XDS_PORT}"]
    assert "signature" in faults[0]


@pytest.mark.parametrize("port", [XDS_PORT, WEBHOOK_PORT])
def test_port_that_nobody_read_is_found(port: int) -> None:
    rest = {other: chain for other, chain in SEEN.served.items() if other != port}
    faults = refusal_faults(replace(SEEN, served=rest), REFUSAL)

    assert f"port {port}: its leaf is not followed by {serial_hex(GOOD.cert)}" in faults


def test_expired_chain_on_a_port_is_found() -> None:
    faults = refusal_faults(replace(SEEN, read=after(3600 * 2)), REFUSAL)

    assert [fault.partition(":")[0] for fault in faults] == [f"port {XDS_PORT}", f"port {WEBHOOK_PORT}"]


def test_workload_that_did_not_come_is_found_with_the_reason() -> None:
    seen = replace(SEEN, newcomer=None, stuck="the injector cannot be called")

    assert refusal_faults(seen, REFUSAL) == ["the injector cannot be called", "no fresh workload came"]


def test_workload_by_another_intermediate_is_found() -> None:
    assert refusal_faults(replace(SEEN, newcomer=newcomer(OTHER)), REFUSAL) == [
        f"fresh workload: signed by {serial_hex(OTHER.cert)}, not {serial_hex(GOOD.cert)}"
    ]


def test_workload_that_was_given_another_root_besides_is_found() -> None:
    seen = replace(SEEN, newcomer=newcomer(GOOD, bundle=(ROOT.cert, OTHER_ROOT.cert)))

    assert refusal_faults(seen, REFUSAL) == ["fresh workload: its bundle is not the mesh's root"]


def test_workload_whose_chain_does_not_verify_is_found() -> None:
    stranger = mint.intermediate(OTHER_ROOT, _PROFILE, key=GOOD.key)
    faults = refusal_faults(replace(SEEN, newcomer=newcomer(stranger)), REFUSAL)

    assert [fault.partition(": ")[0] for fault in faults] == ["fresh workload"] * 2
    assert "signed by" in faults[0]
    assert "its signature is not by the key of certificate 2" in faults[1]


def test_certificates_below_a_leaf_are_found() -> None:
    """What istiod signs with a leaf is as wrong as it looks: the accepted leaf of reload/leaf-as-ca."""
    seen = replace(SEEN, signer=NO_AUTHORITY.cert, served=dict.fromkeys(SEEN.served, served(NO_AUTHORITY)))

    assert any(fault.startswith(f"port {XDS_PORT}: ") for fault in reload_faults(seen, TLS_LAYOUT))


def test_reload_has_no_fault() -> None:
    assert reload_faults(replace(SEEN, log=RELOADED), TLS_LAYOUT) == []


def test_reload_of_the_other_layout_is_told_by_its_line() -> None:
    texts = [ISTIO_LAYOUT if line.text == TLS_LAYOUT else line.text for line in RELOADED]
    seen = replace(SEEN, log=log(*(f"info {text}" for text in texts)))

    assert reload_faults(seen, ISTIO_LAYOUT) == []
    assert reload_faults(seen, TLS_LAYOUT) == [f"istiod's log lacks, in its place: {TLS_LAYOUT}"] * 2


def test_reload_after_a_look_at_no_files_has_no_fault() -> None:
    """Between the deletion of a Secret and the next one the kubelet may empty the volume."""
    gone = log(f"info {LOOKED}", f"info {ISTIO_LAYOUT}", "error failed reading root-cert.pem: open ...")

    assert reload_faults(replace(SEEN, log=gone + RELOADED), TLS_LAYOUT) == []


def test_what_two_goroutines_log_may_come_in_either_order() -> None:
    """As on a busy machine: the new certificates first, and that the CA has been replaced after them."""
    late = (*RELOADED[:2], *RELOADED[3:], RELOADED[2])

    assert reload_faults(replace(SEEN, log=late), TLS_LAYOUT) == []


@pytest.mark.parametrize("missing", range(len(RELOAD_LINES)), ids=str)
def test_reload_that_lacks_a_line_is_found(missing: int) -> None:
    lines = RELOADED[:missing] + RELOADED[missing + 1 :]
    wanted = RELOAD_LINES[missing]

    assert f"istiod's log lacks, in its place: {wanted}" in reload_faults(
        replace(SEEN, log=lines), TLS_LAYOUT
    )


def test_reload_that_a_port_does_not_show_is_found() -> None:
    seen = replace(SEEN, log=RELOADED, served={**SEEN.served, WEBHOOK_PORT: served(OTHER)})

    assert reload_faults(seen, TLS_LAYOUT) == [
        f"port {WEBHOOK_PORT}: its leaf is not followed by {serial_hex(GOOD.cert)}"
    ]


def test_reload_that_was_not_waited_for_to_its_end_is_found() -> None:
    seen = replace(SEEN, log=RELOADED, stuck="not within 180 s")

    assert reload_faults(seen, TLS_LAYOUT) == ["not within 180 s"]


def test_layout_needs_a_workload_too() -> None:
    seen = replace(SEEN, log=RELOADED)

    assert layout_faults(seen, TLS_LAYOUT) == []
    assert layout_faults(replace(seen, newcomer=None), TLS_LAYOUT) == ["no fresh workload came"]
    assert layout_faults(replace(seen, newcomer=newcomer(OTHER)), TLS_LAYOUT) == [
        f"fresh workload: signed by {serial_hex(OTHER.cert)}, not {serial_hex(GOOD.cert)}"
    ]


def test_each_look_has_one_ending() -> None:
    assert [line.text for line in endings(REFUSED + RELOADED)] == [WARNING, ACCEPTED]


def test_times_are_told_in_seconds_since_the_change() -> None:
    assert SEEN.seconds() == {"decided": 3, "newcomer": 2}
    assert replace(SEEN, log=(), newcomer=None).seconds() == {}


def test_observation_shows_ports_and_what_the_ca_logged() -> None:
    """Lines of a scope, as of a push to the proxies, have a tab behind its name."""
    shown = str(replace(SEEN, log=SEEN.log + log("info ads\tPush debounce stable")))

    assert f"warn {WARNING}" in shown
    assert "Push debounce" not in shown
    assert f"port {XDS_PORT}: " in shown
    assert serial_hex(GOOD.cert) in shown


def test_explanation_has_each_fault_on_a_line_of_its_own() -> None:
    assert explained(["one", "two"], SEEN) == f"one\ntwo\n{SEEN}"
