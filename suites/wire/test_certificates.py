"""Client certificates that each break one rule, shown to a workload's proxy by a client outside the mesh.

Each is right but for the one thing: signed from the mesh's root, in the name of a workload that may call,
valid now. That a right one is served, before the others and after them, is the control of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from fixtures.pki import mint
from fixtures.probe import forged
from fixtures.report.catalogue import conformance
from fixtures.session import Mesh
from suites.wire.bookinfo import CLIENT
from suites.wire.knocking import CALLER, TRIED, Knocked, Knocker, forbid_policies

_NONE = "none"
_LATER = "proper, after the others"
# A SPIFFE validator tells the client nothing more; RFC 8446 6.2 has alerts of their own for some of it.
_UNKNOWN = "certificate_unknown"

_TWO_IDS_GAP = (
    "Envoy's SPIFFE validator takes the first URI SAN for the only one (spiffe_validator.cc, "
    "getTrustBundleStore) and accepts the certificate with both. FINDINGS.md, 28; nearest issue: "
    "https://github.com/envoyproxy/envoy/issues/15392, expires 2027-06-30"
)
_PURPOSE_GAP = (
    "Envoy's SPIFFE validator builds the path without a purpose (spiffe_validator.cc, "
    "verifyCertChainUsingTrustBundleStore). FINDINGS.md, 29; where it was made: "
    "https://github.com/envoyproxy/envoy/pull/14884, expires 2027-06-30"
)


@pytest.fixture(scope="module")
def knocked(own_mesh: Mesh, knocker: Knocker) -> Knocked:
    """Every certificate, tried once; none is judged here."""
    forbid_policies(knocker.bookinfo)
    now, caller = datetime.now(UTC), knocker.bookinfo.spiffe_id(CALLER)
    other = knocker.bookinfo.spiffe_id(CLIENT)
    wrong = forged.forge(knocker.signer, spiffe_id=caller, other_id=other, now=now)
    later = forged.proper_leaf(knocker.signer, caller, now=now)
    # The right ones first, so that whatever is refused later was not refused for its signer.
    presented: Mapping[str, mint.Issued | None] = {**wrong, _NONE: None, _LATER: later}
    found = knocker.knock(presented)
    for name, one in found.seen.items():
        own_mesh.measure(f"wire.certificates.{name}", str(one.http.seen))
    return found


@conformance(id="wire/no-client-cert-refused", requires={"spire"})
def test_no_client_certificate_is_refused(knocked: Knocked) -> None:
    """A client that speaks TLS and presents no certificate is refused, for that.

    > Istio, PeerAuthentication, STRICT: "TLS with client cert must be presented". Without one the server
    > may abort the handshake with the alert `certificate_required` (RFC 8446 4.4.2.4).

    Break: mTLS disabled for the workload.
    """
    faults = knocked.refused(_NONE, "PEER_DID_NOT_RETURN_A_CERTIFICATE", "certificate_required")
    _judge(knocked, faults)


@conformance(id="wire/foreign-root-refused", requires={"spire"})
def test_certificate_of_a_foreign_root_is_refused(knocked: Knocked) -> None:
    """A certificate with a workload's SPIFFE ID, signed under a root of nobody's, is refused.

    > "The validation of trust in a given SVID is based on standard X.509 path validation, and MUST follow
    > RFC 5280 path validation semantics" (X509-SVID 5.1).

    Break: the foreign root in the trust bundle.
    """
    reason = "unable_to_get_local_issuer_certificate"
    _judge(knocked, knocked.refused(forged.FOREIGN_ROOT, reason, _UNKNOWN, "unknown_ca"))


@conformance(id="wire/wrong-trust-domain-refused", requires={"spire"})
def test_certificate_of_another_trust_domain_is_refused(knocked: Knocked) -> None:
    """A certificate of another trust domain is refused, although the mesh's own root signed it.

    > "All the trust bundles are isolated from each other, so no trust domain can mint a SVID belonging to
    > another trust domain" (Envoy, SPIFFECertValidatorConfig).

    Break: a bundle for the other trust domain with the mesh's root in it; roots without a SPIFFE validator.
    """
    _judge(knocked, knocked.refused(forged.FOREIGN_TRUST_DOMAIN, "no_trust_bundle_store", _UNKNOWN))


@conformance(id="wire/expired-refused", requires={"spire"})
def test_expired_certificate_is_refused(knocked: Knocked) -> None:
    """A certificate whose time is over by a minute is refused for that.

    > "The certificate validity period includes the current time" (RFC 5280 6.1.3 (a) (2)).

    Break: a validator that allows expired certificates.
    """
    reason = "at_depth_0:_certificate_has_expired"
    _judge(knocked, knocked.refused(forged.EXPIRED, reason, _UNKNOWN, "certificate_expired"))


@conformance(id="wire/not-yet-valid-refused", requires={"spire"})
def test_certificate_of_the_future_is_refused(knocked: Knocked) -> None:
    """A certificate whose time begins in five minutes is refused for that.

    > "The certificate validity period includes the current time" (RFC 5280 6.1.3 (a) (2)).

    Break: a validator that looks at the end of the validity alone.
    """
    reason = "at_depth_0:_certificate_is_not_yet_valid"
    _judge(knocked, knocked.refused(forged.NOT_YET_VALID, reason, _UNKNOWN, "certificate_expired"))


@conformance(id="wire/ca-as-leaf-refused", requires={"spire"})
def test_signing_certificate_is_refused_as_a_leaf(knocked: Knocked) -> None:
    """A certificate that may sign others is refused: by its CA flag alone, and by keyCertSign alone.

    > "the validator MUST ensure that the CA field in the basic constraints extension is set to false, and
    > that keyCertSign and cRLSign are not set in the key usage extension" (X509-SVID 5.2).

    Break: roots without a SPIFFE validator.
    """
    names = (forged.CA_FLAG, forged.SIGNS_CERTIFICATES)
    _judge(knocked, [fault for name in names for fault in knocked.refused(name, "cert_precheck", _UNKNOWN)])


@conformance(id="wire/path-length-exceeded-refused", requires={"spire"})
def test_too_long_a_path_is_refused(knocked: Knocked) -> None:
    """A certificate under an authority that its own issuer had no right to make is refused.

    > The path length "gives the maximum number of non-self-issued intermediate certificates that may follow
    > this certificate in a valid certification path" (RFC 5280 4.2.1.9).

    The path is the root, an intermediate of ours, one with the path length 0, another below it, the leaf.
    A leaf directly below the one with the path length 0 is served.

    Break: the intermediate with the path length 0 without it.
    """
    faults = knocked.served(forged.WITHIN_PATH_LENGTH)
    faults += knocked.refused(
        forged.BEYOND_PATH_LENGTH, "path_length_constraint_exceeded", _UNKNOWN, "unknown_ca"
    )
    _judge(knocked, faults)


@conformance(id="wire/two-uri-sans-refused", requires={"spire"})
def test_certificate_with_two_ids_is_refused(knocked: Knocked) -> None:
    """A certificate with two SPIFFE IDs is refused, in either order, and with one of another trust domain.

    > "Validators encountering an SVID containing more than one URI SAN MUST reject the SVID" (X509-SVID 2).

    Break: a validator that looks for an ID that it knows among several.
    """
    names = (forged.TWO_IDS, forged.TWO_IDS_OTHER_FIRST, forged.TWO_TRUST_DOMAINS)
    _judge(knocked, [])
    # Nothing but this is excused: each is served as any right certificate is.
    if not [fault for name in names for fault in knocked.served(name)]:
        pytest.xfail(_TWO_IDS_GAP)
    _judge(
        knocked, [fault for name in names for fault in knocked.refused(name, "verify_cert_failed", _UNKNOWN)]
    )
    # As a strict xfail would: whoever reads this takes the gap out.
    pytest.fail(f"the known gap is closed: {_TWO_IDS_GAP}")


@conformance(id="wire/foreign-purpose-refused", requires={"spire"})
def test_certificate_for_another_purpose_is_refused(knocked: Knocked) -> None:
    """A certificate whose only extended key usage is to sign code is refused as a client's.

    > "If the extension is present, then the certificate MUST only be used for one of the purposes
    > indicated" (RFC 5280 4.2.1.12); "When included, fields id-kp-serverAuth and id-kp-clientAuth MUST be
    > set" (X509-SVID 4.4).

    Break: a validator that does not ask for a purpose.
    """
    _judge(knocked, [])
    if not knocked.served(forged.FOREIGN_PURPOSE):
        pytest.xfail(_PURPOSE_GAP)
    alerts = (_UNKNOWN, "unsupported_certificate")
    _judge(knocked, knocked.refused(forged.FOREIGN_PURPOSE, "verify_cert_failed", *alerts))
    pytest.fail(f"the known gap is closed: {_PURPOSE_GAP}")


def _judge(knocked: Knocked, faults: list[str]) -> None:
    """Fail on these faults, and where the right certificate was not served, before or after."""
    found = [*knocked.served(forged.PROPER), *knocked.served(_LATER), *faults]
    assert not found, f"{TRIED}: {'; '.join(found)}"
