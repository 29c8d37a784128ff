"""What comes from a port of a pod, frame by frame, and from its log; the API server is a stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
import websocket
from kubernetes import client

from fixtures.cluster import execute as module
from fixtures.cluster.execute import fetch, read_log
from fixtures.cluster.run import CommandError

BINARY, CLOSE = websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_CLOSE
# Port 15000 in front of what comes on a channel.
NUMBER = b"\x98\x3a"


class Connection:
    """A WebSocket that has got these frames, and then only silence."""

    def __init__(self, *frames: tuple[int, bytes]) -> None:
        self.frames = iter(frames)
        self.sent = b""
        self.closed = False

    def send(self, data: bytes, _code: int) -> None:
        self.sent += data

    def recv_data_frame(self, _control: bool) -> tuple[int, Any]:
        try:
            code, data = next(self.frames)
        except StopIteration:
            raise websocket.WebSocketTimeoutException("timed out") from None
        return code, SimpleNamespace(data=data)

    def shutdown(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def socket_timeout() -> Iterator[None]:
    """Keep the limit of all websockets of this process as it was."""
    before = websocket.getdefaulttimeout()
    yield
    websocket.setdefaulttimeout(before)


def fetched(monkeypatch: pytest.MonkeyPatch, *frames: tuple[int, bytes]) -> str:
    """Fetch `/stats` over these frames."""
    connection = Connection(*frames)
    monkeypatch.setattr(module, "create_websocket", lambda *_: connection)
    try:
        return fetch(client.CoreV1Api(), "ns", "pod", 15000, "/stats")
    finally:
        assert connection.closed
        assert connection.sent.startswith(b"\0GET /stats HTTP/1.1\r\n")


def data(*texts: str) -> Sequence[tuple[int, bytes]]:
    """Frames of the data channel, which both channels begin with their number."""
    numbers = [(BINARY, b"\0" + NUMBER), (BINARY, b"\1" + NUMBER)]
    return [*numbers, *((BINARY, b"\0" + text.encode()) for text in texts)]


def test_body_is_returned_without_waiting_for_the_end_of_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"

    assert fetched(monkeypatch, *data(text)) == "abcde"


def test_answer_in_pieces_is_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabcdef"

    assert fetched(monkeypatch, *data(*text)) == "abcdef"


def test_answer_without_a_length_ends_with_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [*data("HTTP/1.1 200 OK\r\n\r\n", "ab", "c"), (CLOSE, b"")]

    assert fetched(monkeypatch, *frames) == "abc"


def test_answer_that_is_not_200_is_an_error_with_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope"

    with pytest.raises(CommandError, match=r"GET ns/pod:15000/stats: exit code 1\nnope\nHTTP 404 Not Found"):
        fetched(monkeypatch, *data(text))


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([*data(), (BINARY, b"\1connection refused")], "connection refused"),
        ([*data("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc"), (CLOSE, b"")], "IncompleteRead"),
        (data("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc"), "timed out"),
        ([(CLOSE, b"")], "Remote end closed"),
        (data("nonsense\r\n"), "nonsense"),
    ],
)
def test_answer_that_breaks_off_is_an_error(
    frames: Sequence[tuple[int, bytes]], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CommandError, match=f"the connection to the pod broke: .*{said}"):
        fetched(monkeypatch, *frames)


def test_pod_that_is_not_there_is_an_error_in_the_words_of_the_api_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        body = json.dumps({"message": 'pods "pod" not found'})
        raise websocket.WebSocketException(f"Handshake status 404 -+-+- {{}} -+-+- {body}")

    monkeypatch.setattr(module, "create_websocket", refuse)

    with pytest.raises(CommandError) as caught:
        fetch(client.CoreV1Api(), "ns", "pod", 15000, "/stats")

    assert caught.value.stderr == 'pods "pod" not found'


class Pool:
    """Answers every request in the same way, and remembers them."""

    def __init__(self, status: int, body: str) -> None:
        self.answer = SimpleNamespace(status=status, data=body.encode())
        self.urls: list[str] = []
        self.breaks: Exception | None = None

    def request(self, _method: str, url: str, **_: object) -> Any:
        self.urls.append(url)
        if self.breaks:
            raise self.breaks
        return self.answer


def api_of(pool: Pool) -> client.CoreV1Api:
    api = client.CoreV1Api(client.ApiClient(client.Configuration(host="https://east:6443")))
    api.api_client.rest_client.pool_manager = pool
    return api


def test_log_is_asked_for_from_a_moment_on() -> None:
    pool = Pool(200, "line\n")

    text = read_log(api_of(pool), "ns", "pod", "app", since=datetime(2030, 1, 1, 12, tzinfo=UTC))

    assert text == "line\n"
    (url,) = pool.urls
    assert url.startswith("https://east:6443/api/v1/namespaces/ns/pods/pod/log?")
    assert url.endswith("container=app&sinceTime=2030-01-01T12%3A00%3A00%2B00%3A00")


def test_log_that_is_not_there_is_an_error_in_the_words_of_the_api_server() -> None:
    pool = Pool(400, json.dumps({"message": "container app is waiting to start"}))

    with pytest.raises(CommandError, match=r"kubectl logs -n ns pod -c app: .*\ncontainer app is waiting"):
        read_log(api_of(pool), "ns", "pod", "app")


def test_api_server_that_does_not_answer_is_an_error() -> None:
    pool = Pool(200, "")
    pool.breaks = urllib3.exceptions.ProtocolError("Connection aborted")

    with pytest.raises(CommandError, match="Connection aborted"):
        read_log(api_of(pool), "ns", "pod", "app")
