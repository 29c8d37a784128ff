"""The client of our own against real servers: what it takes for an answer, an alert, or an end."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from fixtures.pki import TrustBundle, mint
from fixtures.probe.tls_client import CLOSED, Conversation, UnverifiedServerError, talk

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


def now(profile: mint.Profile) -> mint.Profile:
    return replace(profile, not_before=NOW - HOUR, not_after=NOW + HOUR)


ROOT = mint.authority(now(mint.ROOT))
ROOTS = TrustBundle((ROOT.cert,))
LEAF = now(mint.LEAF)
GOOD = mint.leaf(mint.intermediate(ROOT, now(mint.INTERMEDIATE)), LEAF)
OTHERS = mint.authority(now(mint.ROOT))
FOREIGN = mint.leaf(OTHERS, LEAF)
EXPIRED = mint.leaf(ROOT, replace(LEAF, not_after=NOW - HOUR / 2))

Serve = Callable[[socket.socket], None]


@contextmanager
def listening(serve: Serve) -> Iterator[int]:
    """Serve every connection to a local port, one after the other, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def echoing(folder: Path, identity: mint.Issued = GOOD, *, silent: bool = False) -> Serve:
    """Answer in TLS with what was said, or with the notice of the end, to whom the root has signed."""
    file = folder / "server.pem"
    file.write_bytes(mint.pem(*identity.chain) + identity.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=mint.pem(ROOT.cert).decode())

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            heard = secure.recv(100)
            if silent:
                secure.unwrap()
            secure.sendall(heard)

    return serve


def said(port: int, presents: mint.Issued | None, roots: TrustBundle = ROOTS) -> Conversation:
    return talk(port, presents=presents, roots=roots, message=b"hello")


def test_who_is_accepted_hears_the_answer_and_knows_the_server(tmp_path: Path) -> None:
    with listening(echoing(tmp_path)) as port:
        seen = said(port, GOOD)

    assert seen == Conversation(b"hello", server=GOOD.cert)
    assert str(seen) == "hello"


@pytest.mark.parametrize(
    ("presents", "alert"),
    [
        pytest.param(None, "certificate_required", id="none"),
        pytest.param(FOREIGN, "unknown_ca", id="foreign"),
        pytest.param(EXPIRED, "certificate_expired", id="expired"),
    ],
)
def test_who_is_refused_hears_the_alert(tmp_path: Path, presents: mint.Issued | None, alert: str) -> None:
    with listening(echoing(tmp_path)) as port:
        seen = said(port, presents)

    assert (seen.answer, seen.alert, seen.end) == (b"", alert, "")
    assert str(seen) == f"alert {alert}"


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(FOREIGN, id="foreign"),
        pytest.param(EXPIRED, id="expired"),
        pytest.param(
            mint.leaf(ROOT, replace(LEAF, purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,))), id="no-server"
        ),
    ],
)
def test_a_server_that_cannot_be_believed_is_an_error(tmp_path: Path, server: mint.Issued) -> None:
    with listening(echoing(tmp_path, server)) as port, pytest.raises(UnverifiedServerError):
        said(port, GOOD)


def test_a_server_without_tls_is_neither_answer_nor_alert() -> None:
    with listening(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        seen = said(port, GOOD)

    assert (seen.answer, seen.alert, seen.end) == (b"", "", "WRONG_VERSION_NUMBER")
    assert seen.server is None


def test_a_reset_is_heard_again_by_a_client_that_says_nothing() -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with listening(reset) as port:
        seen = said(port, GOOD)

    assert seen == Conversation(end="Connection reset by peer", connections=2)


def test_an_orderly_end_is_not_asked_about_again(tmp_path: Path) -> None:
    with listening(echoing(tmp_path, silent=True)) as port:
        seen = said(port, GOOD)

    assert seen == Conversation(end=CLOSED, server=GOOD.cert)


def test_no_file_is_left_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with listening(echoing(tmp_path)) as port:
        said(port, GOOD)

    assert list(folder.iterdir()) == []
