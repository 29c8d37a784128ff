import base64
import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.pki import Mismatch, TrustBundle, UnreadableError, mint, read_bundle_document
from fixtures.pki import mismatch as m
from fixtures.pki.certs import MAX_BYTES
from fixtures.pki.facts import Facts
from suites.selftest.pki import negative_signers
from suites.selftest.pki.case import BUNDLE, INTERMEDIATE, LEAF, ROOT
from suites.selftest.pki.properties import few

X5C = base64.b64encode(mint.der(ROOT.cert)).decode()
ENTRY: dict[str, Any] = {"kty": "EC", "use": "x509-svid", "x5c": [X5C]}
JWT = {"kty": "EC", "use": "jwt-svid", "kid": "a"}


def x5c(*certs: mint.Issued) -> list[str]:
    """A value of x5c for each certificate."""
    return [base64.b64encode(mint.der(issued.cert)).decode() for issued in certs]


@dataclass(frozen=True)
class Case:
    """Entries of a document, with the authorities and findings that they must give."""

    entries: tuple[object, ...]
    bundle: TrustBundle = BUNDLE
    mismatches: tuple[Mismatch, ...] = ()
    warnings: tuple[Mismatch, ...] = ()


CASES = {
    "one-authority": Case((ENTRY,)),
    "other-kinds-are-skipped": Case((JWT, ENTRY, {"use": "wit-svid"}, {"kty": "EC"})),
    "no-authority": Case((JWT,), TrustBundle(())),
    "kid": Case(({**ENTRY, "kid": "a"},), mismatches=(m.KeyIdInDocument(position=0, kid="a"),)),
    "no-kty": Case((JWT, {"use": "x509-svid", "x5c": [X5C]}), mismatches=(m.NoKeyType(position=1),)),
    "no-x5c": Case(
        ({"kty": "EC", "use": "x509-svid"},),
        TrustBundle(()),
        (m.NoCertificateInDocument(position=0),),
    ),
    "empty-x5c": Case(({**ENTRY, "x5c": []},), TrustBundle(()), (m.NoCertificateInDocument(position=0),)),
    "only-the-first-of-x5c-counts": Case(
        ({**ENTRY, "x5c": x5c(ROOT, INTERMEDIATE)},),
        mismatches=(m.ExtraCertificatesInDocument(position=0, count=2),),
    ),
    "intermediate": Case(
        ({**ENTRY, "x5c": x5c(INTERMEDIATE)},),
        TrustBundle((INTERMEDIATE.cert,)),
        warnings=(m.AuthorityNotSelfSigned(position=0),),
    ),
    "leaf": Case(
        ({**ENTRY, "x5c": x5c(LEAF)},),
        TrustBundle((LEAF.cert,)),
        (m.NotCa(position=0), m.NoKeyCertSign(position=0)),
        (m.AuthorityNotSelfSigned(position=0),),
    ),
    "not-a-string": Case(
        ({**ENTRY, "x5c": [1]},),
        TrustBundle(()),
        (m.UnreadableCertificate(position=0, reason="x5c holds something which is no string"),),
    ),
    "what-is-wrong-hides-nothing-behind-it": Case(
        ({"kty": "EC", "use": "x509-svid"}, {**ENTRY, "x5c": [1]}, {**ENTRY, "x5c": x5c(ROOT)}),
        mismatches=(
            m.NoCertificateInDocument(position=0),
            m.UnreadableCertificate(position=1, reason="x5c holds something which is no string"),
        ),
    ),
    "two-certificates-in-one-value": Case(
        ({**ENTRY, "x5c": [base64.b64encode(mint.der(ROOT.cert, ROOT.cert)).decode()]},),
        TrustBundle(()),
        (m.UnreadableCertificate(position=0, reason="a value of x5c holds more than one certificate"),),
    ),
}


def test_a_certificate_in_a_document_that_cannot_be_read_is_named() -> None:
    """It is an authority all the same: what its extensions hold is for path validation."""
    profile = replace(mint.ROOT, uris=(), extra=((negative_signers.MALFORMED_SAN, False),))
    broken = mint.authority(profile)
    found = read_bundle_document(json.dumps({"keys": [JWT, {**ENTRY, "x5c": x5c(broken)}]}).encode())
    (reason,) = (finding.details["reason"] for finding in found.mismatches)
    assert found.mismatches == (m.UnreadableCertificate(position=1, reason=reason),)
    assert reason == Facts.read(0, broken.cert).unreadable != ""


def test_findings_of_a_document_carry_their_certificate() -> None:
    """So that a person is told whose entry it is."""
    found = read_bundle_document(json.dumps({"keys": [{**ENTRY, "x5c": x5c(LEAF)}]}).encode())
    assert {finding.name for finding in (*found.mismatches, *found.warnings)} == {mint.WORKLOAD}


@pytest.mark.parametrize("name", CASES)
def test_document_gives_its_authorities_and_its_faults(name: str) -> None:
    """A consumer takes what X509-SVID 6.2 lets it take; what 6.1 forbids is named."""
    case = CASES[name]
    found = read_bundle_document(json.dumps({"keys": case.entries}).encode())
    assert found.bundle.same_as(case.bundle)
    assert found.mismatches == case.mismatches
    assert found.warnings == case.warnings


@pytest.mark.parametrize("break_", ["\n", " ", "-", "="], ids=["line", "blank", "hyphen", "padding"])
def test_base64_with_something_between_is_none(break_: str) -> None:
    """RFC 4648 3.3 lets a decoder skip nothing that is not in the alphabet."""
    found = read_bundle_document(
        json.dumps({"keys": [{**ENTRY, "x5c": [X5C[:64] + break_ + X5C[64:]]}]}).encode()
    )
    (finding,) = found.mismatches
    assert isinstance(finding, m.UnreadableCertificate)
    assert finding.reason.startswith("x5c is no base64: ")


def test_url_safe_base64_is_not_that_of_x5c() -> None:
    """RFC 7517 4.7 wants the alphabet with + and /."""
    cert = next(
        issued.cert
        for issued in (mint.authority(replace(mint.ROOT, serial=n)) for n in range(1, 99))
        if b"+" in base64.b64encode(mint.der(issued.cert))
    )
    wrong = base64.urlsafe_b64encode(mint.der(cert)).decode()
    found = read_bundle_document(json.dumps({"keys": [{**ENTRY, "x5c": [wrong]}]}).encode())
    assert [type(finding) for finding in found.mismatches] == [m.UnreadableCertificate]


NO_SET = "no JWK set: there is no list of objects in keys"
UNREADABLE = {
    "empty": (b"", "no JSON document: Expecting value: line 1 column 1 (char 0)"),
    "list": (b"[]", NO_SET),
    "no-keys": (b"{}", NO_SET),
    "keys-no-list": (b'{"keys": {}}', NO_SET),
    "entry-no-object": (b'{"keys": [1]}', NO_SET),
    "no-text": (b"\xff", "no JSON document: "),
    "too-deep": (b"[" * 100_000, "no JSON document: "),
    "too-large": (b" " * (MAX_BYTES + 1), f"{MAX_BYTES + 1} bytes: more than the {MAX_BYTES} of a document"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_anything_else_is_unreadable(name: str) -> None:
    """What is no JWK set raises the one documented error."""
    document, words = UNREADABLE[name]
    with pytest.raises(UnreadableError) as raised:
        read_bundle_document(document)
    assert str(raised.value).startswith(words)


def test_a_document_of_the_very_limit_is_read() -> None:
    assert read_bundle_document(b'{"keys": []}'.ljust(MAX_BYTES)).bundle.authorities == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(X5C),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
ENTRIES = st.lists(
    st.fixed_dictionaries({"use": st.just("x509-svid")}, optional={"x5c": JSON, "kid": JSON, "kty": JSON})
    | JSON
)


@few
@given(ENTRIES)
def test_any_entries_give_a_bundle_or_the_documented_error(entries: list[object]) -> None:
    """Whatever JSON stands in a document, nothing else is raised."""
    try:
        found = read_bundle_document(json.dumps({"keys": entries}).encode())
    except UnreadableError:
        return
    assert all(str(finding).isprintable() for finding in found.mismatches + found.warnings)
