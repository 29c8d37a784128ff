"""What is asked of those who sign, byte by byte, and how their answers are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from fixtures.pki import SpiffeId, UnreadableError, mint
from fixtures.probe.grpc import Code, Token
from fixtures.probe.protobuf import MalformedError, blob, blobs, encode, integer
from fixtures.probe.signing_apis import (
    Signed,
    ask_istiod,
    mint_at_spire,
    new_svid_at_spire,
    register_at_spire,
)
from suites.selftest.probe.test_grpc import RESPONSE, Reply, answering, framed
from suites.selftest.probe.test_tls_client import GOOD, ROOT, ROOTS

CSR = b"a request"
ENTRY = "0a1b2c3d"
WORKLOAD = SpiffeId.parse(mint.WORKLOAD)
AGENT = SpiffeId.parse(f"spiffe://{mint.TRUST_DOMAIN}/spire/agent/x")
DENIED = Reply(b"", (), (*RESPONSE, ("grpc-status", "7"), ("grpc-message", "no")))
DERS = [cert.public_bytes(Encoding.DER) for cert in GOOD.chain]
SVID = encode(*((1, der) for der in DERS), (3, 1893499200))

Ask = Callable[[int], Signed]


def istiod(port: int) -> Signed:
    return ask_istiod(port, Token("t"), CSR, ROOTS)


def minting(port: int) -> Signed:
    return mint_at_spire(port, CSR, ROOTS)


def renewing(port: int) -> Signed:
    return new_svid_at_spire(port, ENTRY, CSR, ROOTS)


def registering(port: int) -> Signed:
    return register_at_spire(port, WORKLOAD, AGENT, ["k8s:ns:default", "unix:uid:0"], ROOTS)


EVERY = [
    pytest.param(istiod, id="istiod"),
    pytest.param(minting, id="mint"),
    pytest.param(renewing, id="new"),
    pytest.param(registering, id="register"),
]


def exchanged(folder: Path, ask: Ask, reply: Reply = DENIED) -> tuple[Signed, dict[str, str], bytes]:
    """Ask a server that always answers the same; return what came of it, and what the server heard."""
    with answering(folder, reply) as (port, server):
        signed = ask(port)
    return signed, server.headers[0], server.messages[0][5:]


def result(*fields: tuple[int, int | str | bytes]) -> Reply:
    """Answer as SPIRE's calls for several do: OK, and a status within."""
    return Reply(framed(encode((1, encode(*fields)))))


def test_istiod_is_asked_for_the_callers_own_identity(tmp_path: Path) -> None:
    _, headers, message = exchanged(tmp_path, istiod)

    assert headers[":path"] == "/istio.v1.auth.IstioCertificateService/CreateCertificate"
    assert headers["authorization"] == "Bearer t"
    assert (blob(message, 1), integer(message, 3), blobs(message, 4)) == (CSR, 300, [])


def test_istiod_is_asked_for_the_identity_of_somebody_else(tmp_path: Path) -> None:
    """In a `google.protobuf.Struct`, as its encoding is documented: `fields` is a map of `Value`s."""
    _, _, message = exchanged(
        tmp_path, lambda port: ask_istiod(port, None, CSR, ROOTS, impersonate=mint.WORKLOAD)
    )

    field = blob(blob(message, 4), 1)
    assert (blob(field, 1), blob(blob(field, 2), 3)) == (b"ImpersonatedIdentity", mint.WORKLOAD.encode())


def test_spire_is_asked_to_mint(tmp_path: Path) -> None:
    _, headers, message = exchanged(tmp_path, minting)

    assert headers[":path"] == "/spire.api.server.svid.v1.SVID/MintX509SVID"
    assert "authorization" not in headers
    assert (blob(message, 1), integer(message, 2)) == (CSR, 300)


def test_spire_is_asked_for_the_svid_of_an_entry(tmp_path: Path) -> None:
    _, headers, message = exchanged(tmp_path, renewing)

    assert headers[":path"] == "/spire.api.server.svid.v1.SVID/BatchNewX509SVID"
    (request,) = blobs(message, 1)
    assert (blob(request, 1), blob(request, 2)) == (ENTRY.encode(), CSR)


def test_spire_is_asked_to_register(tmp_path: Path) -> None:
    _, headers, message = exchanged(tmp_path, registering)

    assert headers[":path"] == "/spire.api.server.entry.v1.Entry/BatchCreateEntry"
    (entry,) = blobs(message, 1)
    assert [(blob(one, 1), blob(one, 2)) for one in blobs(entry, 2) + blobs(entry, 3)] == [
        (b"example.org", b"/ns/default/sa/reviews"),
        (b"example.org", b"/spire/agent/x"),
    ]
    assert [(blob(one, 1), blob(one, 2)) for one in blobs(entry, 4)] == [
        (b"k8s", b"ns:default"),
        (b"unix", b"uid:0"),
    ]


def test_istiods_chain_is_read(tmp_path: Path) -> None:
    pems = [mint.pem(cert) for cert in (*GOOD.chain, ROOT.cert)]
    signed, _, _ = exchanged(tmp_path, istiod, Reply(framed(encode(*((1, pem) for pem in pems)))))

    assert signed.certificates == (*GOOD.chain, ROOT.cert)
    assert (signed.code, signed.message, signed.answer.server) == (Code.OK, "", GOOD.cert)
    assert str(signed) == f"OK, signed {mint.WORKLOAD}"


@pytest.mark.parametrize(
    ("ask", "reply"),
    [
        pytest.param(minting, Reply(framed(encode((1, SVID)))), id="mint"),
        pytest.param(renewing, result((1, encode((2, "OK"))), (2, SVID)), id="new"),
    ],
)
def test_spires_svid_is_read(tmp_path: Path, ask: Ask, reply: Reply) -> None:
    signed, _, _ = exchanged(tmp_path, ask, reply)

    assert (signed.certificates, signed.code) == (GOOD.chain, Code.OK)


def test_what_was_registered_is_named(tmp_path: Path) -> None:
    reply = result((1, encode((2, "OK"))), (2, encode((1, ENTRY), (7, 1))))
    signed, _, _ = exchanged(tmp_path, registering, reply)

    assert (signed.certificates, signed.code, signed.entry) == ((), Code.OK, ENTRY)


@pytest.mark.parametrize("ask", EVERY)
def test_a_call_that_is_refused_signs_nothing(tmp_path: Path, ask: Ask) -> None:
    signed, _, _ = exchanged(tmp_path, ask)

    assert (signed.certificates, signed.code, signed.message) == ((), Code.PERMISSION_DENIED, "no")
    assert (signed.answer.status, signed.entry) == (Code.PERMISSION_DENIED, "")
    assert str(signed) == "PERMISSION_DENIED: no"


@pytest.mark.parametrize("ask", [EVERY[2], EVERY[3]])
def test_a_refusal_within_a_call_is_told_from_that_of_the_call(tmp_path: Path, ask: Ask) -> None:
    reply = result((1, encode((1, 5), (2, "entry not found or not authorized"))))
    signed, _, _ = exchanged(tmp_path, ask, reply)

    assert (signed.certificates, signed.code, signed.answer.status) == ((), Code.NOT_FOUND, Code.OK)
    assert str(signed) == "NOT_FOUND: entry not found or not authorized"


@pytest.mark.parametrize("ask", EVERY)
def test_a_call_without_a_status_is_told_by_its_end(tmp_path: Path, ask: Ask) -> None:
    signed, _, _ = exchanged(tmp_path, ask, Reply(b"", (), ((":status", "502"),)))

    assert (signed.certificates, signed.code) == ((), None)
    assert str(signed) == "HTTP 502 without a status of gRPC"


@pytest.mark.parametrize("ask", EVERY)
def test_an_answer_that_is_no_message_is_an_error(tmp_path: Path, ask: Ask) -> None:
    with pytest.raises(MalformedError):
        exchanged(tmp_path, ask, Reply(framed(b"\x0a\x7f")))


def test_a_chain_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError):
        exchanged(tmp_path, istiod, Reply(framed(encode((1, "not PEM")))))
