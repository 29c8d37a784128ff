"""What stands in the certificate that a proxy holds."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from cryptography import x509

from fixtures.pki import TrustBundle
from fixtures.probe import spire
from fixtures.probe.identity import (
    Held,
    config_dump,
    demanded_domains,
    domain_faults,
    id_faults,
    issuer_faults,
    istiod_trust_domain,
    leaf_domains,
    leaf_faults,
    offenders,
    read_held,
    uri_faults,
)
from fixtures.probe.layout import CACERTS, ISTIO
from fixtures.probe.pods import at_once
from fixtures.probe.secrets import secret_chain
from fixtures.report.catalogue import conformance
from fixtures.report.outcomes import NothingObserved
from fixtures.session import Mesh

_SERVER = "SPIRE's server"


@conformance(id="identity/uri-san-single", requires={"spire"})
def test_leaf_has_one_uri_san(held: list[Held]) -> None:
    """Every proxy's leaf has exactly one URI SAN, and it is a valid SPIFFE ID of a workload.

    > An X.509 SVID MUST contain exactly one URI SAN, and by extension, exactly one SPIFFE ID.
    > (X509-SVID 2; for the ID itself SPIFFE-ID 2)

    Break: a second URI SAN by a CredentialComposer, an upper-case trust domain, an ID without a
    path.
    """
    faults = offenders(held, lambda _, svid: uri_faults(svid.leaf))
    assert not faults, "; ".join(faults)


@conformance(id="identity/id-names-service-account", requires={"spire"})
def test_id_names_the_pods_own_service_account(held: list[Held], trust_domain: str) -> None:
    """Every proxy's SPIFFE ID names the namespace and the service account of its own pod.

    > SPIFFE IDs follow the format that Istio knows, which is
    > `spiffe://<trust.domain>/ns/<namespace>/sa/<service-account>`. (Istio, integration of SPIRE)

    Break: a ClusterSPIFFEID with another template or a fixed name; a pod that got another's SVID.
    """
    faults = offenders(held, lambda pod, svid: id_faults(pod, svid.leaf, trust_domain))
    assert not faults, "; ".join(faults)


@conformance(id="identity/leaf-is-leaf", requires={"spire"})
def test_leaf_is_a_leaf(held: list[Held]) -> None:
    """Every proxy's leaf may authenticate both sides of TLS and may sign no certificates.

    > Leaf certificates MUST set the cA field to false [...] Leaf SVIDs MUST set digitalSignature
    > [...] MUST NOT set keyCertSign or cRLSign [...] id-kp-serverAuth and id-kp-clientAuth MUST be
    > set. (X509-SVID 4.1, 4.3, 4.4)

    Break: a proxy that is given a CA certificate, or a leaf for servers only.
    """
    faults = offenders(held, lambda _, svid: leaf_faults(svid.leaf))
    assert not faults, "; ".join(faults)


@pytest.fixture
def named(mesh: Mesh, held: list[Held], trust_domain: str) -> dict[str, Collection[str]]:
    """What each part of the mesh calls the trust domain, asked of the running part."""
    with ThreadPoolExecutor() as pool:
        of_istiod = pool.submit(istiod_trust_domain, mesh.kube)
        dumps = at_once(lambda pod: config_dump(mesh.kube, pod), [one.pod for one in held])
    found: dict[str, Collection[str]] = {
        _SERVER: {trust_domain},
        "istiod's mesh configuration": {of_istiod.result()},
    }
    for one, dump in zip(held, dumps, strict=True):
        found[f"{one.pod}: what it demands of peers"] = demanded_domains(dump)
        if one.svid is not None:
            found[f"{one.pod}: its trust bundle"] = one.svid.bundle_domains
            found[f"{one.pod}: its leaf"] = leaf_domains(one.svid.leaf)
    return found


@conformance(id="identity/trust-domain-agrees", requires={"spire"})
def test_all_name_one_trust_domain(held: list[Held], named: dict[str, Collection[str]]) -> None:
    """SPIRE's server, istiod's mesh configuration and every proxy name the same trust domain.

    > The SPIRE trust domain must be the one that Istio is installed with, `meshConfig.trustDomain`.
    > (Istio, integration of SPIRE; a trust domain is compared as it stands, SPIFFE-ID 2.4)

    Of each proxy three things are read: its leaf, the domain of the bundle that SPIRE's agent
    gave it, and the IDs that istiod makes it demand of its peers.

    Break: `meshConfig.trustDomain` edited, or left at its default, beside a SPIRE of another name.
    """
    faults = offenders(held, lambda *_: ()) + domain_faults(named, _SERVER)
    assert not faults, "; ".join(faults)


@dataclass(frozen=True)
class Issuance:
    """Leaves, and every CA that may or must not have signed them.

    Attributes:
        authorities: Key ids of SPIRE's CAs, read before and after the leaves: a CA that is
            rolled over in between is in one of the readings.
    """

    held: list[Held]
    authorities: frozenset[str]
    bundle: TrustBundle
    cacerts: tuple[x509.Certificate, ...]


@pytest.fixture
def issuance(mesh: Mesh) -> Issuance:
    """Who could have issued what the proxies hold."""
    before = spire.signing_authorities(mesh.kube)
    held = read_held(mesh.kube)
    if not held:
        raise NothingObserved("no pod runs that shall have an identity of SPIRE's")
    with ThreadPoolExecutor() as pool:
        bundle = pool.submit(spire.server_bundle, mesh.kube)
        authorities = before | spire.signing_authorities(mesh.kube)
    cacerts = secret_chain(mesh.kube, ISTIO, CACERTS)[:1]
    return Issuance(held, authorities, bundle.result(), cacerts)


@conformance(id="identity/issued-by-spire", requires={"spire"})
def test_leaf_is_issued_by_spire(issuance: Issuance) -> None:
    """SPIRE's CA signed the leaf of every proxy, istiod's intermediate signed none.

    > The authority key identifier [...] provides a means of identifying the public key
    > corresponding to the private key used to sign a certificate. (RFC 5280 4.2.1.1)

    Both CAs stand under the same root, so a proxy that fell back to istiod looks healthy.

    Break: the pod template without the Workload API's socket: istiod signs, and all requests work.
    """
    now = datetime.now(UTC)
    faults = offenders(
        issuance.held,
        lambda _, svid: issuer_faults(svid, issuance.authorities, issuance.bundle, issuance.cacerts, now),
    )
    assert not faults, "; ".join(faults)
