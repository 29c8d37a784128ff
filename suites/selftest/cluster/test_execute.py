"""What the frames of an `exec` come to; the connection that brings them is a stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import websocket
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from fixtures.cluster import execute as module
from fixtures.cluster.execute import execute, refusal
from fixtures.cluster.run import CommandError

SUCCESS = json.dumps({"status": "Success"}).encode()


class Connection:
    """A `WSClient` that has got all it will get."""

    def __init__(self, out: bytes = b"", err: bytes = b"", status: bytes = b"", *, ends: bool = True) -> None:
        self.channels = {1: out, 2: err, 3: status}
        self.ends = ends
        self.closed = False
        self.breaks: Exception | None = None

    def run_forever(self, timeout: float) -> None:
        if self.breaks:
            raise self.breaks

    def is_open(self) -> bool:
        return not self.ends

    def read_channel(self, channel: int) -> bytes:
        return self.channels[channel]

    def read_stdout(self, timeout: float) -> bytes:
        return self.channels[1]

    def read_stderr(self, timeout: float) -> bytes:
        return self.channels[2]

    def read_all(self) -> bytes:
        return self.channels[2] + self.channels[1]

    @property
    def sock(self) -> Connection:
        return self

    def shutdown(self) -> None:
        self.closed = True


def run(monkeypatch: pytest.MonkeyPatch, connection: Connection, *, merge: bool = False) -> str:
    """Execute `cat --help` over a connection."""
    monkeypatch.setattr(module, "stream", lambda *_, **__: connection)
    try:
        return execute(client.CoreV1Api(), "ns", "pod", "app", ["cat", "--help"], timeout=5, merge=merge)
    finally:
        assert connection.closed


@pytest.fixture(autouse=True)
def socket_timeout() -> Iterator[None]:
    """Keep the limit of all websockets of this process as it was."""
    before = websocket.getdefaulttimeout()
    yield
    websocket.setdefaulttimeout(before)


def test_output_is_returned_without_the_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, Connection("é".encode(), b"warning", SUCCESS)) == "é"


def test_merge_returns_errors_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, Connection(b"a", b"b", SUCCESS), merge=True) == "ba"


def test_exit_code_is_the_one_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    status = {
        "status": "Failure",
        "message": "command terminated with exit code 7",
        "details": {"causes": [{"reason": "ExitCode", "message": "7"}]},
    }

    with pytest.raises(CommandError) as caught:
        run(monkeypatch, Connection(b"out", b"err\n", json.dumps(status).encode()))

    assert caught.value.returncode == 7
    assert caught.value.stdout == "out"
    assert caught.value.stderr == "err\ncommand terminated with exit code 7"
    assert str(caught.value).startswith("kubectl exec -n ns pod -c app -- cat --help: exit code 7")


def test_command_that_did_not_start_is_an_error_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    status = {"status": "Failure", "message": "no such file", "details": {"causes": [{"message": "no"}]}}

    with pytest.raises(CommandError, match="exit code 1\nno such file"):
        run(monkeypatch, Connection(status=json.dumps(status).encode()))


def test_connection_that_ends_before_the_command_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="the connection to the container broke"):
        run(monkeypatch, Connection(b"half"))


def test_command_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="did not end\nhalf\nended after 5 s"):
        run(monkeypatch, Connection(b"half", ends=False))


@pytest.mark.parametrize("error", [OSError("reset"), websocket.WebSocketTimeoutException("timed out")])
def test_connection_that_breaks_is_an_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection()
    connection.breaks = error

    with pytest.raises(CommandError, match=f"the connection to the container broke: {error}"):
        run(monkeypatch, connection)


def refuses(monkeypatch: pytest.MonkeyPatch, cause: BaseException) -> None:
    """Let the library fail as it does: whatever was raised becomes an error of its own."""

    def stream(*_: Any, **__: Any) -> Any:
        try:
            raise cause
        except BaseException as error:
            raise ApiException(status=0, reason=str(error))  # noqa: B904 - as the library does

    monkeypatch.setattr(module, "stream", stream)


def test_pod_that_is_not_there_is_an_error_in_the_words_of_the_api_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = json.dumps({"kind": "Status", "message": 'pods "pod" not found'})
    refuses(monkeypatch, OSError(f"Handshake status 404 Not Found -+-+- {{'a': 'b'}} -+-+- {body}"))

    with pytest.raises(CommandError) as caught:
        execute(client.CoreV1Api(), "ns", "pod", "app", ["ls"], timeout=5)

    assert caught.value.stderr == 'pods "pod" not found'


@pytest.mark.parametrize("reason", ["[Errno 111] Connection refused", "Handshake -+-+- 5 -+-+- 5", ""])
def test_reason_that_is_no_answer_of_the_api_server_is_given_as_it_is(reason: str) -> None:
    assert refusal(reason) == reason


def test_interrupt_while_connecting_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(monkeypatch, KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        execute(client.CoreV1Api(), "ns", "pod", "app", ["ls"], timeout=5)
