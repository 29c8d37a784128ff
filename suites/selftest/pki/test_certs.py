import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fixtures.pki import (
    TrustBundle,
    UnreadableError,
    dns_sans,
    fingerprint,
    judge_svid,
    load_der_chain,
    load_pem_chain,
    mint,
    public_key_fingerprint,
    serial_hex,
    signed_by,
    uri_sans,
)
from fixtures.pki.certs import MAX_BYTES, label
from suites.selftest.pki import negative_signers
from suites.selftest.pki.case import INTERMEDIATE, LEAF, ROOT
from suites.selftest.pki.der import resigned

PEM = mint.pem(*LEAF.chain)
DER = mint.der(*LEAF.chain)
END = b"-----END CERTIFICATE-----"

BAD_PEM = {
    "empty": b"",
    "text": b"no certificate at all",
    "private-key-only": LEAF.key_pem,
    "cut-off": PEM[:-40],
    "first-without-end": PEM.replace(END, b"", 1),
    "empty-block": b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    "not-base64": PEM.replace(b"M", b"!"),
    "not-a-certificate": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "too-large": b"#" * (MAX_BYTES + 1),
}

BAD_DER = {
    "empty": b"",
    "text": b"text",
    "one-byte": b"\x30",
    "cut-off": DER[:-1],
    "garbage-behind": DER + b"\x00",
    "no-length": b"\x30\x80\x00\x00",
    "length-of-five-bytes": b"\x30\x85\x01\x00\x00\x00\x00",
    "length-beyond-the-end": b"\x30\x84\xff\xff\xff\xff",
    "empty-sequence": b"\x30\x00",
    "pem": PEM,
    "too-large": b"\x30" * (MAX_BYTES + 1),
}


@pytest.mark.parametrize("name", BAD_PEM)
def test_bad_pem_is_unreadable(name: str) -> None:
    """Bad PEM raises the one documented error, even where a certificate before it is good."""
    with pytest.raises(UnreadableError):
        load_pem_chain(BAD_PEM[name])


@pytest.mark.parametrize("name", BAD_DER)
def test_bad_der_is_unreadable(name: str) -> None:
    """Bad DER raises the one documented error."""
    with pytest.raises(UnreadableError):
        load_der_chain(BAD_DER[name])


def test_chains_keep_their_order_in_both_forms() -> None:
    """PEM and concatenated DER give the same certificates in the same order."""
    assert load_pem_chain(PEM) == load_der_chain(DER) == LEAF.chain


@pytest.mark.parametrize(
    "pem",
    [
        LEAF.key_pem + PEM,
        b"subject=O = SPIRE\n\n" + PEM.replace(END, END + b"\n# the next one", 1),
        PEM.replace(b"\n", b"\r\n"),
        PEM.replace(b" CERTIFICATE", b" X509 CERTIFICATE"),
        PEM.rstrip(),
    ],
    ids=["private-key-before", "text-between", "crlf", "old-label", "no-newline-at-the-end"],
)
def test_pem_as_it_comes_from_the_wild(pem: bytes) -> None:
    """What proxies, files and other tools put around certificates does no harm."""
    assert load_pem_chain(pem) == LEAF.chain


def test_error_of_a_cut_off_chain_says_so() -> None:
    """The second certificate of a chain does not disappear without a word."""
    with pytest.raises(UnreadableError, match="2 PEM certificate blocks begin, 1 could be read"):
        load_pem_chain(PEM[:-40])


def test_fingerprints() -> None:
    """SHA-256 of the DER and of the SubjectPublicKeyInfo, as openssl prints them."""
    spki = LEAF.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert fingerprint(LEAF.cert) == hashlib.sha256(mint.der(LEAF.cert)).hexdigest()
    assert public_key_fingerprint(LEAF.cert) == hashlib.sha256(spki).hexdigest()
    assert public_key_fingerprint(LEAF.key.public_key()) == public_key_fingerprint(LEAF.cert)


@pytest.mark.parametrize(
    ("serial", "hexadecimal"),
    [(1, "01"), (0xABC, "0abc"), (0xDEADBEEF, "deadbeef"), (1 << 152, "01" + "00" * 19)],
    ids=str,
)
def test_serial_has_two_digits_for_each_byte(serial: int, hexadecimal: str) -> None:
    """A leading zero is kept, as BoringSSL prints the number's bytes."""
    assert serial_hex(mint.leaf(ROOT, replace(mint.LEAF, serial=serial)).cert) == hexadecimal


def test_sans_by_kind() -> None:
    """URI and DNS SANs, and none where there is no such extension."""
    both = mint.leaf(ROOT, replace(mint.LEAF, dns=("a", "b"))).cert
    assert uri_sans(both) == (mint.WORKLOAD,)
    assert dns_sans(both) == ("a", "b")
    neither = mint.leaf(ROOT, replace(mint.LEAF, uris=())).cert
    assert (uri_sans(neither), dns_sans(neither)) == ((), ())


def test_sans_that_cannot_be_read() -> None:
    """A malformed extension raises the documented error."""
    profile = replace(mint.LEAF, uris=(), extra=((negative_signers.MALFORMED_SAN, False),))
    with pytest.raises(UnreadableError, match="subjectAltName"):
        uri_sans(mint.leaf(ROOT, profile).cert)


def test_who_signed_whom() -> None:
    """Signature and name have to fit; a namesake's key does not."""
    assert signed_by(LEAF.cert, INTERMEDIATE.cert)
    assert signed_by(ROOT.cert, ROOT.cert)
    assert not signed_by(LEAF.cert, ROOT.cert)
    assert not signed_by(LEAF.cert, mint.intermediate(ROOT).cert)


def test_bundles_are_sets() -> None:
    """Order and repetition mean nothing, content does."""
    other = mint.authority()
    both = TrustBundle.from_pem(mint.pem(ROOT.cert, other.cert))
    turned = TrustBundle.from_der(mint.der(other.cert, ROOT.cert, other.cert))
    assert both.same_as(turned)
    assert both != turned
    assert len(turned) == 2
    assert turned.fingerprints == {fingerprint(ROOT.cert), fingerprint(other.cert)}
    assert not both.same_as(TrustBundle((ROOT.cert,)))


def test_bundles_are_joined_and_parted() -> None:
    """The overlap of a rotation, and what is left after it."""
    old, new = TrustBundle((ROOT.cert,)), TrustBundle((mint.authority().cert,))
    overlap = old.union(new, old)
    assert overlap.authorities == (*old.authorities, *new.authorities)
    assert overlap.minus(old).same_as(new)
    assert overlap.minus(overlap).authorities == ()
    assert ROOT.cert in overlap
    assert LEAF.cert not in overlap


def test_unreadable_bundle() -> None:
    """A bundle is read by the rules of chains."""
    with pytest.raises(UnreadableError):
        TrustBundle.from_pem(b"")


def test_odd_encodings_do_not_raise_the_warnings_of_cryptography() -> None:
    """A serial number of zero and a country of three letters are read, though warned of."""
    cert = mint.leaf(INTERMEDIATE, replace(mint.LEAF, serial=0x7F, uris=())).cert
    zero = resigned(cert, INTERMEDIATE.key, change=(b"\x02\x01\x7f", b"\x02\x01\x00"))
    (odd,) = load_der_chain(zero)
    assert serial_hex(odd) == "00"
    organization = bytes.fromhex("060355040a0c05") + b"SPIRE"
    country = bytes.fromhex("06035504061305") + b"SPIRE"
    (odd,) = load_der_chain(resigned(cert, INTERMEDIATE.key, change=(organization, country)))
    assert label(odd) == "C=SPIRE,C=US"
    assert judge_svid((odd, INTERMEDIATE.cert), TrustBundle((ROOT.cert,)), now=mint.NOON).depth == 3
