"""`judge_signing_certificate`: one authority alone, as a bundle or a secret holds it."""

from dataclasses import replace

from fixtures.pki import judge_signing_certificate, mint
from fixtures.pki import mismatch as m
from suites.selftest.pki import negative_signers
from suites.selftest.pki.case import ROOT


def test_intermediate_of_spire_is_good() -> None:
    """The certificate that cert-manager signs for SPIRE has nothing wrong."""
    cert = mint.intermediate(ROOT).cert
    assert judge_signing_certificate(cert, trust_domain="example.org") == ((), ())


def test_root_of_cert_manager_is_warned_of() -> None:
    """A root without a SPIFFE ID is allowed: X509-SVID 3.2 has a SHOULD there."""
    cert = mint.authority(mint.CERT_MANAGER_ROOT).cert
    assert judge_signing_certificate(cert, trust_domain=None) == (
        (),
        (m.SigningCertificateNotSvid(position=0),),
    )


def test_foreign_trust_domain_is_warned_of() -> None:
    """X509-SVID 3.2 has a SHOULD for the trust domain of the leaves."""
    mismatches, warnings = judge_signing_certificate(ROOT.cert, trust_domain="example.com")
    assert mismatches == ()
    assert warnings == (m.ForeignSigningCertificate(position=0, found="example.org", expected="example.com"),)


def test_leaf_is_no_signing_certificate() -> None:
    """Every rule of a signing certificate that a leaf breaks is named."""
    mismatches, _ = judge_signing_certificate(mint.leaf(ROOT).cert, trust_domain=None)
    assert mismatches == (
        m.NotCa(position=0),
        m.NoKeyCertSign(position=0),
        m.SigningCertificateWithPath(position=0, uri=mint.WORKLOAD),
    )


def test_unreadable_certificate_is_named() -> None:
    """Where the extensions cannot be read, this alone is said."""
    profile = replace(mint.ROOT, uris=(), extra=((negative_signers.MALFORMED_SAN, False),))
    mismatches, warnings = judge_signing_certificate(mint.authority(profile).cert, trust_domain=None)
    assert [type(found) for found in mismatches] == [m.UnreadableCertificate]
    assert warnings == ()
