"""Plugged-in CAs of our own making, for istiods beside the mesh: keys that never were the mesh's."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fixtures.cluster.kube import Kube
from fixtures.pki import mint
from fixtures.stack.beside import NAMESPACE


def new_root(name: str) -> mint.Issued:
    """Make an authority that is valid today."""
    return mint.authority(_valid_today(mint.ROOT, name))


def new_intermediate(root: mint.Issued, name: str) -> mint.Issued:
    """Make a signing certificate for istiod that is valid today."""
    return mint.intermediate(root, replace(_valid_today(mint.INTERMEDIATE, name), uris=()))


def tls_layout(ca: mint.Issued, *roots: mint.Issued) -> dict[str, bytes]:
    """Return the keys of a Secret as cert-manager writes it."""
    bundle = mint.pem(*(root.cert for root in roots))
    return {"tls.crt": mint.pem(ca.cert), "tls.key": ca.key_pem, "ca.crt": bundle}


def istio_layout(ca: mint.Issued, crl: bytes) -> dict[str, bytes]:
    """Return the keys of a Secret as Istio's documents name them, with a revocation list."""
    return {
        "ca-cert.pem": mint.pem(ca.cert),
        "ca-key.pem": ca.key_pem,
        "cert-chain.pem": mint.pem(ca.cert),
        "root-cert.pem": mint.pem(ca.root),
        "ca-crl.pem": crl,
    }


def empty_crl(by: mint.Issued) -> bytes:
    """Return a revocation list by a CA on which nothing is, as PEM."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(by.cert.subject)
        .last_update(now - timedelta(minutes=1))
        .next_update(now + timedelta(days=1))
        # RFC 5280 5.2.3 demands it, and Go's parser as well.
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    return builder.sign(by.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def put_secret(kube: Kube, name: str, data: Mapping[str, bytes]) -> None:
    """Write a Secret into the namespace of the istiods beside the mesh."""
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": NAMESPACE}
    kube.apply(yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}))


def _valid_today(profile: mint.Profile, name: str) -> mint.Profile:
    now = datetime.now(UTC)
    return replace(
        profile,
        subject=((NameOID.ORGANIZATION_NAME, "meshproof"), (NameOID.COMMON_NAME, name)),
        not_before=now - timedelta(hours=1),
        not_after=now + timedelta(hours=12),
    )
