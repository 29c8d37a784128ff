"""The client of gRPC against real servers: statuses, refusals, and ends of every kind."""

from __future__ import annotations

import socket
import ssl
import struct
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h2.errors
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from hpack import NeverIndexedHeaderTuple

from fixtures.pki import mint
from fixtures.probe.grpc import Answer, Code, Token, call
from fixtures.probe.tls_client import CLOSED, UnverifiedServerError
from suites.selftest.probe.test_tls_client import EXPIRED, FOREIGN, GOOD, ROOT, ROOTS, Serve, listening

METHOD = "/meshproof.Test/Ask"
SECRET = "eyJ-this-is-the-secret"
RESPONSE = ((":status", "200"), ("content-type", "application/grpc"))
OK = (("grpc-status", "0"),)
# More than the windows of HTTP/2 hold (RFC 9113 6.9.2: 65,535 bytes), and no multiple of a frame.
BIG = bytes(range(251)) * 1201

Headers = tuple[tuple[str, str], ...]
Act = Callable[[ssl.SSLSocket], None]


def framed(message: bytes, *, compressed: bool = False) -> bytes:
    return struct.pack(">?I", compressed, len(message)) + message


@dataclass(frozen=True)
class Reply:
    """What a server answers with: headers, what follows them, and trailers; without these, headers alone."""

    data: bytes = framed(b"answer")
    trailers: Headers = OK
    headers: Headers = RESPONSE


@dataclass
class Server:
    """A server of HTTP/2 that answers each call with the same.

    Attributes:
        headers: Those of the calls that it heard.
        messages: What it was asked.
        unremembered: The headers that the compression must not remember (RFC 7541 7.1.3).
    """

    reply: Reply = field(default_factory=Reply)
    headers: list[dict[str, str]] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    unremembered: set[str] = field(default_factory=set)

    def __call__(self, secure: ssl.SSLSocket) -> None:
        http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        http.initiate_connection()
        secure.sendall(http.data_to_send())
        asked, ended = b"", False
        while not ended and (data := secure.recv(65536)):
            for event in http.receive_data(data):
                match event:
                    case RequestReceived():
                        self.headers.append({str(name): str(value) for name, value in event.headers})
                        self.unremembered |= {
                            str(one[0]) for one in event.headers if isinstance(one, NeverIndexedHeaderTuple)
                        }
                    case DataReceived():
                        asked += event.data
                        http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    case StreamEnded():
                        ended = True
            secure.sendall(http.data_to_send())
        if ended:
            self.messages.append(asked)
            self._answer(http, secure)

    def _answer(self, http: H2Connection, secure: ssl.SSLSocket) -> None:
        http.send_headers(1, self.reply.headers, end_stream=not self.reply.trailers)
        rest = self.reply.data if self.reply.trailers else b""
        while rest:
            room = min(http.local_flow_control_window(1), http.max_outbound_frame_size)
            http.send_data(1, rest[:room])
            rest = rest[room:]
            secure.sendall(http.data_to_send())
            if rest and not http.local_flow_control_window(1):
                http.receive_data(secure.recv(65536))
        if self.reply.trailers:
            http.send_headers(1, self.reply.trailers, end_stream=True)
        secure.sendall(http.data_to_send())
        # Until the client has gone, so that no reset overtakes what it was told.
        while secure.recv(65536):
            pass


def over_tls(
    folder: Path,
    act: Act,
    identity: mint.Issued = GOOD,
    *,
    asks: bool = False,
    alpn: Sequence[str] = ("h2",),
) -> Serve:
    """Act over TLS; with `asks`, with none but a client whose certificate the root has signed."""
    file = folder / "server.pem"
    file.write_bytes(mint.pem(*identity.chain) + identity.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.set_alpn_protocols(list(alpn))
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=mint.pem(ROOT.cert).decode())

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            act(secure)

    return serve


@contextmanager
def answering(folder: Path, reply: Reply) -> Iterator[tuple[int, Server]]:
    """Answer every call to a local port with the same."""
    server = Server(reply)
    with listening(over_tls(folder, server)) as port:
        yield port, server


def asked(port: int, message: bytes = b"question", presents: mint.Issued | None = None) -> Answer:
    return call(port, METHOD, message, roots=ROOTS, presents=presents, token=Token(SECRET), timeout=10)


def test_a_call_is_heard_and_answered(tmp_path: Path) -> None:
    with answering(tmp_path, Reply()) as (port, server):
        answer = asked(port)

    assert answer == Answer(Code.OK, "", b"answer", server=GOOD.cert)
    assert str(answer) == "OK"
    assert server.messages == [framed(b"question")]
    assert server.headers == [
        {
            ":method": "POST",
            ":scheme": "https",
            ":path": METHOD,
            ":authority": f"127.0.0.1:{port}",
            "te": "trailers",
            "content-type": "application/grpc",
            "user-agent": "meshproof",
            "authorization": f"Bearer {SECRET}",
        }
    ]


def test_the_compression_must_not_remember_the_token(tmp_path: Path) -> None:
    with answering(tmp_path, Reply()) as (port, server):
        asked(port)

    assert server.unremembered == {"authorization"}


def test_without_a_token_there_is_no_authorization(tmp_path: Path) -> None:
    with answering(tmp_path, Reply()) as (port, server):
        call(port, METHOD, b"", roots=ROOTS)

    assert server.messages == [framed(b"")]
    assert "authorization" not in server.headers[0]


REFUSED = (("grpc-status", "7"), ("grpc-message", "caf%C3%A9: 100%25 no"))


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(b"", REFUSED), id="trailers"),
        pytest.param(Reply(b"", (), RESPONSE + REFUSED), id="headers-alone"),
        pytest.param(Reply(framed(b"answer"), REFUSED), id="after-an-answer"),
    ],
)
def test_a_status_is_given_with_its_message(tmp_path: Path, reply: Reply) -> None:
    with answering(tmp_path, reply) as (port, _):
        answer = asked(port)

    assert answer == Answer(Code.PERMISSION_DENIED, "café: 100% no", server=GOOD.cert)
    assert str(answer) == "PERMISSION_DENIED: café: 100% no"


def test_a_status_without_a_name_is_told_by_its_number(tmp_path: Path) -> None:
    with answering(tmp_path, Reply(b"", (("grpc-status", "99"),))) as (port, _):
        assert str(asked(port)) == "status 99"


@pytest.mark.parametrize(
    ("reply", "end"),
    [
        pytest.param(Reply(b"", (), ((":status", "404"),)), "HTTP 404 without a status of gRPC", id="http"),
        pytest.param(
            Reply(b"", (("grpc-status", "-1"),)), "HTTP 200 without a status of gRPC", id="no-number"
        ),
        pytest.param(Reply(b""), "0 bytes that are not one message", id="no-message"),
        pytest.param(Reply(framed(b"a") * 2), "12 bytes that are not one message", id="two-messages"),
        pytest.param(Reply(framed(b"ab")[:-1]), "6 bytes that are not one message", id="cut-off"),
        pytest.param(
            Reply(framed(b"a", compressed=True)), "6 bytes that are not one message", id="compressed"
        ),
    ],
)
def test_what_is_no_answer_of_grpc_is_an_end(tmp_path: Path, reply: Reply, end: str) -> None:
    with answering(tmp_path, reply) as (port, _):
        answer = asked(port)

    assert answer == Answer(end=end, server=GOOD.cert)
    assert str(answer) == end


def test_big_messages_pass_both_ways(tmp_path: Path) -> None:
    with answering(tmp_path, Reply(framed(BIG))) as (port, server):
        answer = asked(port, BIG)

    assert server.messages == [framed(BIG)]
    assert answer == Answer(Code.OK, "", BIG, server=GOOD.cert)


def test_who_presents_a_good_certificate_is_answered(tmp_path: Path) -> None:
    with listening(over_tls(tmp_path, Server(), asks=True)) as port:
        assert asked(port, presents=GOOD).status == Code.OK


@pytest.mark.parametrize(
    ("presents", "alert"),
    [
        pytest.param(None, "certificate_required", id="none"),
        pytest.param(FOREIGN, "unknown_ca", id="foreign"),
        pytest.param(EXPIRED, "certificate_expired", id="expired"),
    ],
)
def test_who_is_refused_hears_the_alert_however_much_it_has_to_say(
    tmp_path: Path, presents: mint.Issued | None, alert: str
) -> None:
    """The request is not sent before: unread, it would make the kernel reset the connection."""
    server = Server()
    with listening(over_tls(tmp_path, server, asks=True)) as port:
        answers = [asked(port, BIG, presents) for _ in range(5)]

    assert answers == [Answer(end=f"alert {alert}", server=GOOD.cert)] * 5
    assert server.headers == []


@pytest.mark.parametrize("server", [pytest.param(FOREIGN, id="foreign"), pytest.param(EXPIRED, id="expired")])
def test_a_server_that_cannot_be_believed_is_an_error_and_hears_nothing(
    tmp_path: Path, server: mint.Issued
) -> None:
    heard = Server()
    with (
        listening(over_tls(tmp_path, heard, server)) as port,
        pytest.raises(UnverifiedServerError) as caught,
    ):
        asked(port)

    assert heard.headers == []
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert SECRET not in "".join(shown.format())


def closes(secure: ssl.SSLSocket) -> None:
    secure.unwrap()


def vanishes(secure: ssl.SSLSocket) -> None:
    secure.shutdown(socket.SHUT_RDWR)


def closes_when_asked(secure: ssl.SSLSocket) -> None:
    listen(secure)
    secure.unwrap()


def resets(secure: ssl.SSLSocket) -> None:
    http = listen(secure)
    http.reset_stream(1, h2.errors.ErrorCodes.REFUSED_STREAM)
    secure.sendall(http.data_to_send())


def goes_away(secure: ssl.SSLSocket) -> None:
    http = listen(secure)
    http.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
    secure.sendall(http.data_to_send())


def babbles(secure: ssl.SSLSocket) -> None:
    # Headers of a stream with the number 0 (RFC 9113 6.2).
    secure.sendall(bytes([0, 0, 0, 1, 4, 0, 0, 0, 0]))


def listen(secure: ssl.SSLSocket) -> H2Connection:
    """Hear a call to its end, and answer nothing."""
    http = H2Connection(H2Configuration(client_side=False))
    http.initiate_connection()
    secure.sendall(http.data_to_send())
    while not any(isinstance(event, StreamEnded) for event in http.receive_data(secure.recv(65536))):
        secure.sendall(http.data_to_send())
    return http


@pytest.mark.parametrize(
    ("act", "end"),
    [
        pytest.param(closes, CLOSED, id="closes"),
        pytest.param(closes_when_asked, CLOSED, id="closes-when-asked"),
        pytest.param(vanishes, "UNEXPECTED_EOF_WHILE_READING", id="vanishes"),
        pytest.param(resets, "the call was reset, error 7 of HTTP/2", id="resets"),
        pytest.param(goes_away, "the server goes away, error 11 of HTTP/2", id="goes-away"),
        pytest.param(babbles, "no HTTP/2: ProtocolError", id="babbles"),
    ],
)
def test_an_end_without_a_status_is_told(tmp_path: Path, act: Act, end: str) -> None:
    with listening(over_tls(tmp_path, act)) as port:
        answer = asked(port)

    assert answer == Answer(end=end, server=GOOD.cert)
    assert answer.status is None


def test_a_server_that_does_not_choose_http_2_is_not_asked(tmp_path: Path) -> None:
    with listening(over_tls(tmp_path, closes, alpn=("http/1.1",))) as port:
        assert asked(port) == Answer(end="the server does not speak HTTP/2", server=GOOD.cert)


def test_a_server_without_tls_is_an_end() -> None:
    with listening(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        assert asked(port) == Answer(end="WRONG_VERSION_NUMBER")


def test_a_server_that_is_silent_is_given_up(tmp_path: Path) -> None:
    def waits(secure: ssl.SSLSocket) -> None:
        listen(secure)
        secure.recv(1)

    with listening(over_tls(tmp_path, waits)) as port:
        answer = call(port, METHOD, b"", roots=ROOTS, timeout=0.5)

    assert answer == Answer(end="silence for 0.5 s", server=GOOD.cert)


def test_a_port_where_nobody_listens_is_an_error_without_the_token() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError) as caught:
        asked(port)

    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert SECRET not in "".join(shown.format())


def test_a_token_is_not_shown() -> None:
    token = Token(SECRET)

    assert [repr(token), str(token), f"{token}"] == ["Token()"] * 3


@pytest.mark.parametrize("value", ["", f"{SECRET}\r\nx: y", f"{SECRET} ", f"{SECRET}\u00e9"])
def test_what_cannot_be_a_header_is_no_token_and_is_not_shown(value: str) -> None:
    with pytest.raises(ValueError, match="a token is") as caught:
        Token(value)

    assert SECRET not in str(caught.value)
