"""Just enough DER to sign a certificate whose content no builder would make."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from fixtures.pki import mint

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


def value(tag: int, *content: bytes) -> bytes:
    """One DER value (X.690 8.1): tag, length, content."""
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + body


def resigned(
    cert: x509.Certificate, key: mint.PrivateKey, *, change: tuple[bytes, bytes] = (b"", b"")
) -> bytes:
    """The DER of a certificate with its content, or a change of it, signed by a P-256 key.

    Raises:
        ValueError: what is to be changed is not there.
    """
    content = cert.tbs_certificate_bytes
    old, new = change
    if old not in content or len(old) != len(new):
        raise ValueError("there is nothing to change, or lengths would have to follow")
    content = content.replace(old, new)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(content, ec.ECDSA(hashes.SHA256()))
    return value(0x30, content, ECDSA_SHA256, value(0x03, b"\x00", signature))
