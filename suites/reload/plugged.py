"""Plugged-in CAs with roots of our own making, for istiods beside the mesh."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fixtures.pki import mint
from fixtures.probe.material import Files, Signer, istio_files


def new_root(name: str) -> mint.Issued:
    """Make an authority that is valid today."""
    return mint.authority(_valid_today(mint.ROOT, name))


def new_signer(root: mint.Issued, name: str, *roots: mint.Issued) -> Signer:
    """Make an intermediate for istiod that is valid today.

    Args:
        root: Who issues it.
        name: Its common name.
        roots: The bundle that goes with it, where that is not the issuer alone.
    """
    issued = mint.intermediate(root, replace(_valid_today(mint.INTERMEDIATE, name), uris=()))
    return Signer(issued.cert, mint.pem(*(one.cert for one in roots or (root,))), issued.key)


def with_crl(signer: Signer, by: Signer) -> Files:
    """Lay a signer out as Istio's documents do, with a revocation list on which nothing is.

    The chain leaves out the root: istiod wants a list of everybody in it.
    """
    files = istio_files(signer)
    extra = {"cert-chain.pem": mint.pem(signer.cert), "ca-crl.pem": _empty_crl(by)}
    return replace(files, content={**files.content, **extra})


def _empty_crl(by: Signer) -> bytes:
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


def _valid_today(profile: mint.Profile, name: str) -> mint.Profile:
    now = datetime.now(UTC)
    return replace(
        profile,
        subject=((NameOID.ORGANIZATION_NAME, "meshproof"), (NameOID.COMMON_NAME, name)),
        not_before=now - timedelta(hours=1),
        not_after=now + timedelta(hours=12),
    )
