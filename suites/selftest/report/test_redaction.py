from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fixtures.pki import mint
from fixtures.report.redaction import Finding, scan

CA = mint.authority()
KEYS = {kind: mint.new_key(kind) for kind in ("rsa", "p256", "p384", "ed25519")}
RSA_PEM = KEYS["rsa"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
CERTIFICATE = mint.pem(mint.leaf(CA).cert, CA.cert).decode()


def part(document: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


JWT = f"{part({'alg': 'RS256', 'kid': ''})}.{part({'sub': 'system:serviceaccount:spire:x'})}.{'s-g_' * 20}"


def found(folder: Path, text: str | bytes) -> list[tuple[int, str]]:
    (folder / "file").write_bytes(text.encode() if isinstance(text, str) else text)
    return [(finding.line, finding.what) for finding in scan(folder)]


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize(
    "form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["pkcs8", "old"]
)
@pytest.mark.parametrize("written", ["pem", "pem-in-json", "pem-in-a-secret", "der"])
def test_private_key_is_found_in_any_form(
    tmp_path: Path, kind: str, form: PrivateFormat, written: str
) -> None:
    if kind == "ed25519":
        form = PrivateFormat.PKCS8
    pem = KEYS[kind].private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    der = KEYS[kind].private_bytes(Encoding.DER, form, NoEncryption())
    text = {
        "pem": pem,
        "pem-in-json": json.dumps({"key": pem}),
        "pem-in-a-secret": f"tls.key: {base64.b64encode(pem.encode()).decode()}",
        "der": json.dumps({"x509_svid_key": base64.b64encode(der).decode()}),
    }[written]
    assert found(tmp_path, f"one\ntwo\n{text}")[0] == (3, "a private key")


@pytest.mark.parametrize("before", range(4))
def test_key_behind_certificates_in_a_secret_is_found(tmp_path: Path, before: int) -> None:
    together = base64.b64encode(("\n" * before + CERTIFICATE + RSA_PEM).encode())
    assert found(tmp_path, together) == [(1, "a private key")]


@pytest.mark.parametrize("cut", [slice(0, 200), slice(-200, None)], ids=["end", "beginning"])
def test_half_a_key_is_one(tmp_path: Path, cut: slice) -> None:
    (finding,) = found(tmp_path, RSA_PEM[cut])
    assert finding[1] == "a private key"


def test_key_in_a_log_with_timestamps_is_found(tmp_path: Path) -> None:
    lines = "".join(f"2030-01-01T12:00:00.000Z {line}\n" for line in RSA_PEM.splitlines())
    assert found(tmp_path, lines)[0] == (1, "a private key")


@pytest.mark.parametrize("quote", ['"', '\\"'], ids=["plain", "within-json"])
def test_only_a_redacted_key_may_be_in_the_configuration_of_envoy(tmp_path: Path, quote: str) -> None:
    def dump(field: str, value: str) -> str:
        return f'{{"private_key": {{"{field}": "{value}"}}}}'.replace('"', quote)

    assert found(tmp_path, dump("inline_bytes", base64.b64encode(b"[redacted]").decode())) == []
    assert found(tmp_path, dump("inline_string", "[redacted]")) == []
    assert found(tmp_path, dump("inline_bytes", "AAECAwQFBgcICQ==")) == [(1, "a private key")]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"reading {JWT}", id="jwt"),
        pytest.param(f"token: {base64.b64encode(JWT.encode()).decode()}", id="jwt-in-a-secret"),
        pytest.param(f"a={base64.b64encode(JWT.encode()).decode()}", id="jwt-in-base64"),
        pytest.param("Authorization: Bearer 3f1c9e07a4b24d0b", id="bearer"),
        pytest.param("users:\n- user:\n    token: abcdef.0123456789abcdef", id="kubeconfig"),
        pytest.param('{"access_token": "q1W2e3R4t5Y6u7I8o9P0"}', id="json"),
        pytest.param('{\\"token\\": \\"q1W2e3R4t5Y6u7I8o9P0\\"}', id="json-within-json"),
        pytest.param("{&quot;token&quot;: &quot;q1W2e3R4t5Y6u7I8o9P0&quot;}", id="xml"),
        pytest.param("Token: 31ada4fd-adec-460c-809a-9e56ceb75269", id="join-token"),
        pytest.param("kubectl --token=q1W2e3R4t5Y6u7I8o9P0", id="option"),
    ],
)
def test_token_is_found(tmp_path: Path, text: str) -> None:
    findings = found(tmp_path, f"\n{text}\n")
    assert findings
    assert {what for _, what in findings} == {"a token"}


PUBLIC = {
    "certificates": CERTIFICATE,
    "certificates-in-a-secret": base64.b64encode(CERTIFICATE.encode()).decode(),
    "der": base64.b64encode(CA.cert.public_bytes(Encoding.DER)).decode(),
    "access-log": json.dumps(
        {
            "request_id": "31ada4fd-adec-460c-809a-9e56ceb75269",
            "peer_serial": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        }
    ),
    "digest": "istiod: sha256:31ada4fdadec460c809a9e56ceb752690a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "mark-alone": 'assert "-----BEGIN PRIVATE KEY-----" not in text, "-----END PRIVATE KEY-----"',
    "redacted-pem": f"-----BEGIN PRIVATE KEY-----\n[redacted]\n-----END PRIVATE KEY-----\n{CERTIFICATE}",
    "path": '"token": "/var/run/secrets/tokens/istio-token-2030-01-01"',
    "volume": "serviceAccountToken: {path: spire-agent, expirationSeconds: 7200, audience: spire-server}",
    "event": 'failed to fetch token: pod reviews-v1-7c7dbcbcf4-x2k9p "is gone"',
    "prose": "failed to fetch token: reviews-v1-7c7dbcbcf4-x2k9p is gone",
    "code": "token = base64.b64decode(value)",
    "empty": '{"entries": [], "next_page_token": ""}',
    "words": "the bearer authentication-of-the-caller was refused",
    "two-parts": JWT.rpartition(".")[0],
    "no-header": f"{part({'a': 'nothing of the kind'})}.{part({'b': 'neither is this'})}.{'x' * 40}",
}


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_is_left_alone(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, PUBLIC[name]) == []


def test_all_files_are_searched_also_in_archives(tmp_path: Path) -> None:
    (tmp_path / "allure-results").mkdir()
    (tmp_path / "allure-results" / "a-attachment.txt").write_text(f"\n{JWT}\n\n{JWT}\n")
    (tmp_path / "log.gz").write_bytes(gzip.compress(RSA_PEM.encode()))
    with tarfile.open(tmp_path / "wire-a.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("log.txt")
        member.size = len(JWT)
        archive.addfile(member, io.BytesIO(JWT.encode()))
    findings = scan(tmp_path)
    assert findings == [
        Finding("allure-results/a-attachment.txt", 2, "a token", 1),
        Finding("log.gz", 1, "a private key", findings[1].more),
        Finding("wire-a.tar.gz:log.txt", 1, "a token"),
    ]
    assert str(findings[0]) == "allure-results/a-attachment.txt:2: a token (and 1 more)"


@pytest.mark.parametrize(
    "data", [b"\x1f\x8bnothing", gzip.compress(b"a" * 5000)[:-9]], ids=["no-gzip", "cut"]
)
def test_what_cannot_be_read_is_no_clean_file(tmp_path: Path, data: bytes) -> None:
    assert found(tmp_path, data) == [(1, "unreadable")]


def test_the_secret_itself_is_never_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"{JWT}\n{RSA_PEM}")
    said = " ".join(f"{finding} {finding!r}" for finding in scan(tmp_path))
    assert JWT[:12] not in said
    assert RSA_PEM.splitlines()[1][:12] not in said
