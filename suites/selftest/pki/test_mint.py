"""What the mint makes: whoever tests the verifier with it must get what was asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fixtures.pki import mint
from fixtures.pki.certs import public_key_fingerprint, signed_by
from fixtures.pki.mint import KeyKind

ROOT = mint.authority()
INTERMEDIATE = mint.intermediate(ROOT)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("rsa", (rsa.RSAPublicKey, 2048)),
        ("p256", (ec.EllipticCurvePublicKey, "secp256r1")),
        ("p384", (ec.EllipticCurvePublicKey, "secp384r1")),
        ("ed25519", (ed25519.Ed25519PublicKey, None)),
    ],
)
def test_keys_are_of_their_kind(kind: KeyKind, wanted: tuple[type, object]) -> None:
    public = mint.new_key(kind).public_key()
    assert isinstance(public, wanted[0])
    match public:
        case rsa.RSAPublicKey():
            assert (public.key_size, public.public_numbers().e) == (wanted[1], 65537)
        case ec.EllipticCurvePublicKey():
            assert public.curve.name == wanted[1]


@pytest.mark.parametrize("make", [mint.intermediate, mint.leaf], ids=["intermediate", "leaf"])
def test_a_key_that_is_given_is_the_one_certified(make: type) -> None:
    own, forger = mint.new_key("p256"), mint.new_key("p256")
    issued = make(ROOT, key=own)
    assert issued.key is own
    assert public_key_fingerprint(issued.cert) == public_key_fingerprint(own.public_key())
    assert signed_by(issued.cert, ROOT.cert)
    forged = make(ROOT, with_key=forger)
    assert not signed_by(forged.cert, ROOT.cert)
    assert signed_by(forged.cert, mint.authority(key=forger).cert)


def test_what_stands_above_is_known() -> None:
    lower = mint.intermediate(INTERMEDIATE)
    leaf = mint.leaf(lower)
    assert ROOT.chain == (ROOT.cert,)
    assert INTERMEDIATE.chain == (INTERMEDIATE.cert,)
    assert leaf.chain == (leaf.cert, lower.cert, INTERMEDIATE.cert)
    assert {each.root for each in (ROOT, INTERMEDIATE, lower, leaf)} == {ROOT.cert}


def test_a_key_goes_to_a_file_and_back() -> None:
    key = load_pem_private_key(INTERMEDIATE.key_pem, None)
    assert key.public_key() == INTERMEDIATE.cert.public_key()


def test_every_field_of_a_profile_is_in_the_certificate() -> None:
    profile = mint.Profile(
        subject=((NameOID.COMMON_NAME, "a"), (NameOID.ORGANIZATION_NAME, "b")),
        issuer=((NameOID.COMMON_NAME, "c"),),
        serial=77,
        uris=("spiffe://example.org/a",),
        dns=("a.svc",),
        other_sans=(x509.RFC822Name("a@b"),),
        san_critical=True,
        ca=True,
        path_length=3,
        basic_constraints_critical=False,
        key_usage=frozenset({"content_commitment", "data_encipherment"}),
        key_usage_critical=False,
        purposes=(ExtendedKeyUsageOID.CODE_SIGNING,),
        purposes_critical=True,
        subject_key_id=b"own",
        authority_key_id=x509.AuthorityKeyIdentifier(b"other", None, None),
        extra=((x509.OCSPNoCheck(), False),),
    )
    cert = mint.authority(profile).cert
    assert (cert.subject.rfc4514_string(), cert.issuer.rfc4514_string()) == ("O=b,CN=a", "CN=c")
    assert (cert.serial_number, cert.not_valid_before_utc, cert.not_valid_after_utc) == (
        77,
        profile.not_before,
        profile.not_after,
    )
    usage = x509.KeyUsage(False, True, False, True, False, False, False, False, False)
    names = [
        x509.UniformResourceIdentifier("spiffe://example.org/a"),
        x509.DNSName("a.svc"),
        x509.RFC822Name("a@b"),
    ]
    assert [(each.value, each.critical) for each in cert.extensions] == [
        (x509.BasicConstraints(True, 3), False),
        (usage, False),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), True),
        (x509.SubjectAlternativeName(names), True),
        (x509.SubjectKeyIdentifier(b"own"), False),
        (x509.AuthorityKeyIdentifier(b"other", None, None), False),
        (x509.OCSPNoCheck(), False),
    ]


def test_every_bit_of_a_key_usage_is_its_own() -> None:
    bits = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
    )
    for bit in bits:
        made = mint._key_usage(frozenset({bit}))  # type: ignore[arg-type]
        assert {name for name in bits if getattr(made, name)} == {bit}


def test_a_profile_without_anything_has_no_extension() -> None:
    empty = mint.Profile(subject_key_id=None, authority_key_id=None)
    assert list(mint.authority(empty).cert.extensions) == []


def test_key_identifiers_are_not_critical() -> None:
    """RFC 5280 4.2.1.1 and 4.2.1.2: "Conforming CAs MUST mark this extension as non-critical"."""
    kinds = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
    found = {type(each.value): each.critical for each in mint.authority().cert.extensions}
    assert [found[kind] for kind in kinds] == [False, False]


def test_the_signer_is_named_by_its_own_key_identifier() -> None:
    """By what the signer calls its key; where it has no name for it, by the key itself."""

    def named_in(cert: x509.Certificate) -> bytes | None:
        return cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier

    def own(key: mint.PrivateKey) -> bytes:
        return x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest

    assert named_in(ROOT.cert) == own(ROOT.key)
    assert named_in(INTERMEDIATE.cert) == own(ROOT.key)
    nameless = mint.authority(replace(mint.ROOT, subject_key_id=None))
    renamed = mint.authority(replace(mint.ROOT, subject_key_id=b"mine"))
    assert named_in(mint.leaf(nameless, with_key=mint.new_key("p256")).cert) == own(nameless.key)
    assert named_in(mint.leaf(renamed).cert) == b"mine"


def test_serials_are_random_and_files_are_joined() -> None:
    other = mint.authority()
    assert other.cert.serial_number != ROOT.cert.serial_number
    pem, der = mint.pem(ROOT.cert, other.cert), mint.der(ROOT.cert, other.cert)
    assert x509.load_pem_x509_certificates(pem) == [ROOT.cert, other.cert]
    assert pem == mint.pem(ROOT.cert) + mint.pem(other.cert)
    assert x509.load_der_x509_certificate(der[len(mint.der(ROOT.cert)) :]) == other.cert


def test_an_edwards_key_signs_without_a_hash() -> None:
    edwards = mint.authority(key=mint.new_key("ed25519"))
    assert edwards.cert.signature_hash_algorithm is None
    assert ROOT.cert.signature_hash_algorithm is not None
    assert ROOT.cert.signature_hash_algorithm.name == "sha256"
    assert signed_by(mint.leaf(edwards).cert, edwards.cert)
