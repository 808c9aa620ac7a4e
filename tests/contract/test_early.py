"""Requests that are refused by their first bytes: the connection stays in step, and others take the usual way."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import pytest
import uvicorn

from service.api.access.connections import ConnectionLimits, make_protocol
from service.api.access.early import EarlyRefusal

LIMIT_SECONDS = 30.0
PATH = "/v1/models/tiny/grad-cam"


class _Full:
    def __init__(self) -> None:
        self.now = True
        self.asked = 0

    def __call__(self, _: int) -> bool:
        self.asked += 1
        return self.now


async def _app(_: Any, receive: Any, send: Any) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = json.dumps({"size": size}).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def full() -> _Full:
    return _Full()


@pytest.fixture
def port(full: _Full) -> Iterator[int]:
    protocol = make_protocol(
        ConnectionLimits(connections=20, head_seconds=0.5), early=EarlyRefusal(full, 10_000, "/below")
    )
    server = uvicorn.Server(uvicorn.Config(_app, port=0, http=protocol, ws="none", lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + LIMIT_SECONDS
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.01)
    yield int(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = server.force_exit = True
    thread.join(LIMIT_SECONDS)


def _head(*headers: str, length: int = 5, path: str = PATH, method: str = "POST") -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *headers)
    return "\r\n".join((*lines, "", "")).encode()


class _Client:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> tuple[int, dict[str, str], Any]:
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = self.socket.recv(1)
            assert part, answer
            answer += part
        lines = answer.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:-2])}
        body = b""
        while len(body) < int(headers["content-length"]):
            body += self.socket.recv(int(headers["content-length"]) - len(body))
        return int(lines[0].split()[1]), headers, json.loads(body)

    def ends(self) -> bool:
        return self.socket.recv(1) == b""


@pytest.fixture
def client(port: int) -> Iterator[_Client]:
    with _Client(port) as client:
        yield client


def test_refused_request_leaves_its_connection_for_the_next(client: _Client, full: _Full) -> None:
    for _ in range(2):
        # The answer comes before the body, of which nothing is lost or left over.
        client.send(_head(length=1000) + b"x" * 10)
        status, headers, problem = client.read()
        assert (status, headers["retry-after"], headers["content-type"]) == (503, "1", "application/problem+json")
        assert headers["x-content-type-options"] == "nosniff"
        assert "connection" not in headers
        assert (problem["code"], problem["instance"], problem["status"]) == ("server_busy", PATH, 503)
        assert problem["type"] == "/below/problems/server_busy"
        client.send(b"x" * 490)
        time.sleep(0.05)
        client.send(b"x" * 500)
        client.send(_head() + b"hello")
        assert client.read()[0] == 503
    full.now = False
    client.send(_head() + b"hello")
    status, _, answer = client.read()
    assert (status, answer) == (200, {"size": 5})
    full.now = True
    client.send(_head() + b"hello")
    assert client.read()[0] == 503


def test_connection_ends_when_its_client_said_so_and_its_body_has_come(client: _Client) -> None:
    client.send(_head("Connection: close", length=1000) + b"x" * 10)
    status, headers, _ = client.read()
    assert (status, headers["connection"]) == (503, "close")
    client.send(b"x" * 990)
    assert client.ends()


def test_connection_ends_when_the_rest_of_a_body_does_not_come(client: _Client) -> None:
    client.send(_head(length=1000) + b"x" * 10)
    assert client.read()[0] == 503
    assert client.ends()


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(_head(method="GET", length=0), id="get"),
        pytest.param(_head(path="/v1/jobs") + b"hello", id="another-route"),
        pytest.param(_head(path="/v1/models/a b") + b"hello", id="blank-in-path"),
        pytest.param(_head("Expect: 100-continue") + b"hello", id="expects"),
        pytest.param(_head("Content-Length: 5") + b"hello", id="two-lengths"),
        pytest.param(_head("Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n", id="chunked"),
        pytest.param(_head(length=300_000) + b"x" * 300_000, id="large"),
        pytest.param(_head(length=0), id="no-body"),
        pytest.param(_head() + b"hello" + _head(), id="more-than-one"),
        pytest.param(b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost", id="half-a-head"),
    ],
)
def test_others_take_the_usual_way(full: _Full, request_bytes: bytes) -> None:
    assert EarlyRefusal(full, 10_000).refuse(request_bytes) is None
    assert full.asked == 0


def test_request_is_refused_below_a_prefix_and_with_a_query() -> None:
    refused = EarlyRefusal(lambda _: True, 10_000).refuse(_head(path=f"/below{PATH}?x=1") + b"hello")
    assert refused is not None
    assert f'"instance":"/below{PATH}"'.encode() in refused.answer
    assert (refused.missing, refused.closes) == (0, False)
