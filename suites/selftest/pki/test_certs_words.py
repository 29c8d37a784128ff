"""Where reading stops, word for word, and what is said of certificates that nobody should have made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography import x509

from fixtures.pki import (
    TrustBundle,
    UnreadableError,
    certs,
    facts,
    judge_chain,
    judge_signing_certificate,
    judge_svid,
    load_der_chain,
    mint,
)
from fixtures.pki import mismatch as m
from fixtures.pki.certs import (
    MAX_BYTES,
    issuer_name,
    label,
    load_pem_chain,
    public_key_fingerprint,
    serial_hex,
    subject_name,
    uri_sans,
)
from fixtures.pki.cli import main
from fixtures.pki.facts import Facts
from fixtures.pki.show import rows
from suites.selftest.pki import negative_signers
from suites.selftest.pki.case import INTERMEDIATE, LEAF, ROOT
from suites.selftest.pki.der import resigned

DER = mint.der(LEAF.cert)
NOON = mint.NOON
SECOND = timedelta(seconds=1)
PLAIN = mint.leaf(INTERMEDIATE, replace(mint.LEAF, serial=0x7F, uris=())).cert


def changed(old: bytes, new: bytes) -> x509.Certificate:
    """A leaf with other bytes in it, well signed all the same."""
    (cert,) = load_der_chain(resigned(PLAIN, INTERMEDIATE.key, change=(old, new)))
    return cert


UNREADABLE_NAME = changed(bytes.fromhex("0c05") + b"SPIRE", bytes.fromhex("0c05") + b"\xff\xff\xff\xff\xff")
UNKNOWN_KEY = changed(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0205"))


DER_WORDS = {
    "empty": (b"", "no DER certificate: the input is empty"),
    "text": (b"text", "byte 0: no certificate begins here"),
    "something-behind": (DER + b"\x31", f"byte {len(DER)}: no certificate begins here"),
    "one-byte": (b"\x30", "byte 0: cut off"),
    "cut-off": (DER + DER[:-1], f"byte {len(DER)}: cut off"),
    "half-a-length": (b"\x30\x81", "byte 0: cut off"),
    "no-content": (b"\x30\x01", "byte 0: cut off"),
    "no-length": (b"\x30\x80\x00", "byte 0: length in a form that DER does not have"),
    "length-of-five-bytes": (
        b"\x30\x85\x00\x00\x00\x00\x00",
        "byte 0: length in a form that DER does not have",
    ),
    "too-large": (
        b"\x30" * (MAX_BYTES + 1),
        f"{MAX_BYTES + 1} bytes: more than the {MAX_BYTES} a chain may have",
    ),
}


@pytest.mark.parametrize("name", DER_WORDS)
def test_der_is_refused_in_these_words(name: str) -> None:
    der, words = DER_WORDS[name]
    with pytest.raises(UnreadableError) as raised:
        load_der_chain(der)
    assert str(raised.value) == words


@pytest.mark.parametrize(
    "der", [b"\x30\x00", b"\x30\x81\x00", b"\x30\x82\x00\x00", b"\x30\x84\x00\x00\x00\x00"], ids=bytes.hex
)
def test_what_has_an_end_is_read_by_cryptography(der: bytes) -> None:
    """Lengths of one byte, or of up to four more; what they hold here is no certificate."""
    with pytest.raises(UnreadableError, match=rf"^DER certificate 1, at byte {len(DER)}: "):
        load_der_chain(DER + der)


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        (b"", "no PEM certificate block"),
        (
            mint.pem(*LEAF.chain)[:-40],
            "2 PEM certificate blocks begin, 1 could be read: one is cut off",
        ),
    ],
    ids=["empty", "cut-off"],
)
def test_pem_is_refused_in_these_words(pem: bytes, words: str) -> None:
    with pytest.raises(UnreadableError) as raised:
        load_pem_chain(pem)
    assert str(raised.value) == words


def test_broken_pem_says_what_it_is() -> None:
    with pytest.raises(UnreadableError, match=r"^PEM: \S"):
        load_pem_chain(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def test_a_file_of_the_very_limit_is_read() -> None:
    assert load_pem_chain(mint.pem(LEAF.cert).ljust(MAX_BYTES, b"\n")) == (LEAF.cert,)


def test_a_serial_number_below_zero_keeps_its_sign() -> None:
    """RFC 5280 4.1.2.2 forbids it, yet it is shown as what it is."""
    assert serial_hex(changed(b"\x02\x01\x7f", b"\x02\x01\xff")) == "-01"
    assert serial_hex(PLAIN) == "7f"


def test_names_for_people_never_raise() -> None:
    assert (subject_name(PLAIN), issuer_name(PLAIN)) == ("O=SPIRE,C=US", "O=SPIFFE,C=US")
    assert subject_name(UNREADABLE_NAME) == label(UNREADABLE_NAME) == "unreadable subject"
    nameless = mint.authority(replace(mint.ROOT, subject=())).cert
    assert (subject_name(nameless), issuer_name(nameless)) == ("no subject", "no issuer")
    malformed = replace(mint.ROOT, uris=(), extra=((negative_signers.MALFORMED_SAN, False),))
    assert label(mint.authority(malformed).cert) == "O=meshproof,CN=root"


def test_names_that_cannot_be_read_are_not_those_of_a_certificate() -> None:
    """Of an extension that cannot be read it is said which; nobody is called the issuer by a broken name."""
    malformed = replace(mint.ROOT, uris=(), extra=((negative_signers.MALFORMED_SAN, False),))
    with pytest.raises(UnreadableError, match=r"^subjectAltName: "):
        uri_sans(mint.authority(malformed).cert)
    bundle = TrustBundle((mint.authority(mint.CERT_MANAGER_ROOT).cert,))
    found = judge_chain((LEAF.cert, UNREADABLE_NAME), bundle, now=NOON).mismatches
    assert found[0] == m.NotIssuedByNext(position=0, issuer="O=SPIFFE,C=US", subject="unreadable subject")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("first\nsecond\nthird"), "first"),
        (TypeError("first"), "first"),
        (TypeError(), "TypeError"),
    ],
    ids=["two-lines", "one-line", "no-line"],
)
def test_a_reason_is_the_first_line_of_an_error(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> NoReturn:
        raise error

    with pytest.raises(UnreadableError) as raised:
        certs._read(broken, "a field")
    assert str(raised.value) == f"a field: {reason}"
    monkeypatch.setattr(facts, "_read", broken)
    found = Facts.read(3, PLAIN)
    assert (found.position, found.cert, found.unreadable) == (3, PLAIN, reason)
    assert (found.not_before, found.constraints, found.san) == (None, None, None)


def test_a_subject_that_cannot_be_read_is_there_all_the_same() -> None:
    """X509-SVID 3.1 asks for a critical subjectAltName only where there is no subject."""
    svid = mint.leaf(INTERMEDIATE).cert
    old, new = bytes.fromhex("0c05") + b"SPIRE", bytes.fromhex("0c05") + b"\xff" * 5
    (odd,) = load_der_chain(resigned(svid, INTERMEDIATE.key, change=(old, new)))
    verdict = judge_svid((odd, INTERMEDIATE.cert), TrustBundle((ROOT.cert,)), now=NOON)
    assert (subject_name(odd), verdict.mismatches, verdict.depth) == ("unreadable subject", (), 3)


def test_a_key_of_no_known_kind_is_named() -> None:
    with pytest.raises(UnreadableError, match=r"^public key: "):
        public_key_fingerprint(UNKNOWN_KEY)


def test_of_a_signing_certificate_that_cannot_be_read_only_that_is_said() -> None:
    profile = replace(mint.ROOT, uris=(), extra=((negative_signers.MALFORMED_SAN, False),))
    cert = mint.authority(profile).cert
    reason = Facts.read(0, cert).unreadable
    mismatches, warnings = judge_signing_certificate(cert, trust_domain=None)
    assert reason
    assert (mismatches, warnings) == ((m.UnreadableCertificate(position=0, reason=reason),), ())
    assert mismatches[0].certificate == cert


def lifetime(cert: x509.Certificate, now: timedelta) -> str:
    (row,) = rows((cert,), TrustBundle(()), NOON + now)
    return row.lifetime


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        (timedelta(hours=-1) - SECOND, "valid in 1s"),
        (timedelta(hours=-1), "2h0m left"),
        (timedelta(0), "1h0m left"),
        (timedelta(hours=1), "0s left"),
        (timedelta(hours=1) + SECOND, "expired 1s ago"),
        (timedelta(days=1, hours=2, minutes=3), "expired 1d1h ago"),
        (timedelta(hours=1, days=-2, seconds=1), "valid in 1d21h"),
    ],
    ids=str,
)
def test_a_lifetime_has_both_its_ends(now: timedelta, shown: str) -> None:
    assert lifetime(LEAF.cert, now) == shown


def test_a_certificate_whose_fields_cannot_be_read_has_its_line() -> None:
    profile = replace(mint.ROOT, uris=(), extra=((negative_signers.MALFORMED_SAN, False),))
    cert = mint.authority(profile).cert
    assert lifetime(cert, timedelta(0)) == f"unreadable ({Facts.read(0, cert).unreadable})"


def test_the_signer_is_looked_for_above_first_and_below_then() -> None:
    """Two of the same: the next one is it, as in a chain in order. An authority may stand anywhere."""
    chain = (INTERMEDIATE.cert, LEAF.cert, INTERMEDIATE.cert, ROOT.cert)
    assert [row.signer for row in rows(chain, TrustBundle(()), NOON)] == ["3", "2", "3", "itself"]
    turned = (ROOT.cert, INTERMEDIATE.cert, LEAF.cert)
    assert [row.signer for row in rows(turned, TrustBundle(()), NOON)] == ["itself", "0", "1"]
    bundle = TrustBundle((mint.authority(mint.CERT_MANAGER_ROOT).cert, ROOT.cert))
    signers = [row.signer for row in rows(LEAF.chain, bundle, NOON)]
    assert signers == ["1", "authority 1 of the bundle"]
    assert rows((LEAF.cert,), TrustBundle(()), NOON)[0].signer == "nobody here"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is not set to UTC."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_times_are_in_utc_wherever_the_machine_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in (("chain", mint.pem(*LEAF.chain)), ("roots", mint.pem(ROOT.cert))):
        (tmp_path / name).write_bytes(data)
    files = ["--chain", str(tmp_path / "chain"), "--bundle", str(tmp_path / "roots")]
    assert main(["verify", *files, "--at", "2030-01-01T12:00:00Z", "--json"]) == 0
    assert '"at": "2030-01-01T12:00:00+00:00"' in capsys.readouterr().out
    expired = m.Expired(position=0, not_after=NOON, now=NOON + SECOND)
    assert expired.message == "expired at 2030-01-01T12:00:00Z, the time is 2030-01-01T12:00:01Z"
