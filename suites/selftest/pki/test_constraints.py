"""Name constraints: which names lie in which subtree, permitted and excluded (RFC 5280 4.2.1.10)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NoReturn

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from fixtures.pki import TrustBundle, constraints, judge_chain, mint
from fixtures.pki import mismatch as m
from suites.selftest.pki import negative_signers

URI, DNS, MAIL = x509.UniformResourceIdentifier, x509.DNSName, x509.RFC822Name
KEY = mint.new_key("p256")
OID = ObjectIdentifier("1.2.3.4")
ORG = (NameOID.ORGANIZATION_NAME, "SPIRE")
MADE_FOR = mint.name([(NameOID.COUNTRY_NAME, "US"), ORG])


def address(text: str) -> x509.IPAddress:
    return x509.IPAddress(IPv6Address(text) if ":" in text else IPv4Address(text))


def network(text: str) -> x509.IPAddress:
    return x509.IPAddress(IPv6Network(text) if ":" in text else IPv4Network(text))


WITHIN: list[tuple[x509.GeneralName, x509.GeneralName, bool]] = [
    (URI("spiffe://example.org/a"), URI("example.org"), True),
    (URI("spiffe://example.org/a"), URI("EXAMPLE.ORG"), True),
    (URI("spiffe://a.example.org/a"), URI("example.org"), False),
    (URI("spiffe://a.example.org/a"), URI(".example.org"), True),
    (URI("spiffe://a.example.org/a"), URI(".EXAMPLE.org"), True),
    (URI("spiffe://example.org/a"), URI(".example.org"), False),
    (URI("spiffe://anexample.org/a"), URI(".example.org"), False),
    (DNS("a.svc"), DNS("svc"), True),
    (DNS("A.svc"), DNS("SVC"), True),
    (DNS("svc"), DNS("svc"), True),
    (DNS("a.svc"), DNS(".svc"), True),
    (DNS("svc.a"), DNS("svc"), False),
    (DNS("asvc"), DNS("svc"), False),
    (DNS("a.svc"), DNS(""), True),
    (MAIL("a@example.org"), MAIL("example.org"), True),
    (MAIL("a@b.example.org"), MAIL(".example.org"), True),
    (MAIL("a@b.example.org"), MAIL("example.org"), False),
    (MAIL('"a@c"@example.org'), MAIL("example.org"), True),
    (MAIL("a@example.org"), MAIL("a@example.org"), True),
    (MAIL("b@example.org"), MAIL("a@example.org"), False),
    (address("10.1.2.3"), network("10.1.0.0/16"), True),
    (address("10.2.2.3"), network("10.1.0.0/16"), False),
    (address("fd00::1"), network("fd00::/16"), True),
    (address("fd01::1"), network("fd00::/16"), False),
    (address("10.1.2.3"), network("::/0"), False),
    (address("fd00::1"), network("0.0.0.0/0"), False),
    (x509.DirectoryName(mint.name([ORG])), x509.DirectoryName(mint.name([ORG])), True),
    (x509.DirectoryName(mint.name([ORG, ORG])), x509.DirectoryName(mint.name([ORG])), True),
]
# What cannot be compared is neither within what is permitted nor without what is excluded.
UNKNOWN: list[tuple[x509.GeneralName, x509.GeneralName]] = [
    (URI("urn:no-host"), URI("example.org")),
    (URI("spiffe://[broken/a"), URI("example.org")),
    (x509.RegisteredID(OID), x509.RegisteredID(OID)),
    (x509.OtherName(OID, b"\x05\x00"), x509.OtherName(OID, b"\x05\x00")),
]
TEXTS = {x509.RegisteredID: "1.2.3.4", x509.OtherName: "1.2.3.4"}


def findings(
    name: x509.GeneralName,
    permitted: tuple[x509.GeneralName, ...] | None,
    excluded: tuple[x509.GeneralName, ...] | None,
) -> list[m.Mismatch]:
    """Judge a leaf with one name and no subject under an intermediate that constrains."""
    root = mint.authority(key=KEY)
    subtrees = x509.NameConstraints(permitted, excluded)
    above = mint.intermediate(root, replace(mint.INTERMEDIATE, extra=((subtrees, True),)), key=KEY)
    profile = replace(mint.SERVER, dns=(), other_sans=(name,))
    verdict = judge_chain(mint.leaf(above, profile, key=KEY).chain, TrustBundle((root.cert,)), now=mint.NOON)
    return list(verdict.mismatches)


def text(name: x509.GeneralName) -> str:
    if isinstance(name, x509.DirectoryName):
        return name.value.rfc4514_string()
    return TEXTS.get(type(name)) or str(name.value)


@pytest.mark.parametrize(("name", "subtree", "within"), WITHIN)
def test_a_name_lies_in_a_subtree_or_does_not(
    name: x509.GeneralName, subtree: x509.GeneralName, within: bool
) -> None:
    outside = [m.NameNotPermitted(position=0, found=text(name), constrained_by=1)]
    inside = [m.NameExcluded(position=0, found=text(name), constrained_by=1)]
    assert findings(name, (subtree,), None) == ([] if within else outside)
    assert findings(name, None, (subtree,)) == (inside if within else [])


@pytest.mark.parametrize(("name", "subtree"), UNKNOWN)
def test_what_cannot_be_compared_is_refused(name: x509.GeneralName, subtree: x509.GeneralName) -> None:
    permitted = m.NameNotPermitted(position=0, found=text(name), constrained_by=1)
    excluded = m.NameExcluded(position=0, found=text(name), constrained_by=1)
    assert findings(name, (subtree,), (subtree,)) == [permitted, excluded]


def test_one_of_several_permitted_subtrees_is_enough_and_one_excluded_is_too_much() -> None:
    name, other, own = DNS("a.svc"), DNS("b"), DNS("svc")
    assert findings(name, (other, own), (other,)) == []
    assert findings(name, (own,), (other, own)) == [
        m.NameExcluded(position=0, found="a.svc", constrained_by=1)
    ]


def test_a_subtree_of_another_form_says_nothing() -> None:
    assert findings(DNS("a.svc"), (URI("example.org"),), (MAIL("svc"),)) == []


def test_a_subject_is_a_name_as_well() -> None:
    """With the mail addresses in it, but only where there is no subjectAltName."""
    root = mint.authority(key=KEY)
    mail = x509.NameConstraints(None, (MAIL("example.org"),))
    above = mint.intermediate(root, replace(mint.INTERMEDIATE, extra=((mail, True),)), key=KEY)
    subject = ((NameOID.COMMON_NAME, "a"), (NameOID.EMAIL_ADDRESS, "a@example.org"))
    for dns, found in (
        ((), [m.NameExcluded(position=0, found="a@example.org", constrained_by=1)]),
        (("a.svc",), []),
    ):
        leaf = mint.leaf(above, replace(mint.SERVER, subject=subject, dns=dns, san_critical=False), key=KEY)
        verdict = judge_chain(leaf.chain, TrustBundle((root.cert,)), now=mint.NOON)
        assert list(verdict.mismatches) == found


def test_what_cannot_be_read_is_not_held_against_a_constraint_and_hides_nothing() -> None:
    """That it cannot be read has been said; what stands above it is judged all the same."""
    org = x509.NameConstraints((URI("example.com"),), (x509.DirectoryName(MADE_FOR),))
    root = mint.authority(replace(mint.ROOT, extra=((org, True),)), key=KEY)
    malformed = replace(mint.LEAF, uris=(), extra=((negative_signers.MALFORMED_SAN, False),))
    leaf = mint.leaf(mint.intermediate(root, key=KEY), malformed, key=KEY)
    found = judge_chain(leaf.chain, TrustBundle((root.cert,)), now=mint.NOON).mismatches
    assert [(type(each), each.position) for each in found] == [
        (m.UnreadableCertificate, 0),
        (m.NameNotPermitted, 1),
    ]


def test_a_name_that_cannot_be_read_is_refused_by_a_constraint(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: x509.Certificate) -> NoReturn:
        raise ValueError("first\nsecond\nthird")

    monkeypatch.setattr(constraints, "read_subject", broken)
    assert findings(DNS("a.svc"), (DNS("svc"),), None) == [
        m.UnreadableCertificate(position=0, reason="first")
    ]
