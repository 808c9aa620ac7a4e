"""Clients that hold connections: silent, slow, in crumbs or not reading. Real sockets, a real uvicorn."""

import asyncio
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx2
import pytest
import uvicorn

from service.api.access.connections import ConnectionLimits, make_protocol
from service.api.access.prefixes import ForwardedAddress
from service.cli.commands.serve import configure
from service.settings import Settings
from tests.loop_probe import LoopProbe
from tests.server import ROOT

# Guards against hanging; no answer is expected to take long.
LIMIT_SECONDS = 30.0
HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\n"
ANSWER_BYTES = 50_000_000


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """`/livez`; `/large`; `/early`, answered before its body has come; anything else, afterwards."""
    if scope["type"] != "http":
        return
    more = scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
    body = bytes(ANSWER_BYTES) if scope["path"] == "/large" else b"{}"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def _serve(limits: ConnectionLimits) -> Iterator[uvicorn.Server]:
    config = uvicorn.Config(_app, port=0, http=make_protocol(limits), ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    _await(lambda: server.started)
    yield server
    server.should_exit = server.force_exit = True
    thread.join(LIMIT_SECONDS)
    assert not thread.is_alive()


def _await(happens: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


def _port(server: uvicorn.Server) -> int:
    return int(server.servers[0].sockets[0].getsockname()[1])


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS)


def _read(connection: socket.socket) -> tuple[int, Any]:
    """The status and the problem of what is answered before the connection ends; (0, None) where it ends silently."""
    answer = b""
    try:
        while part := connection.recv(65536):
            answer += part
    except ConnectionError:
        pass
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]), json.loads(body)) if head else (0, None)


def _send_until_closed(connection: socket.socket, piece: bytes) -> bool:
    """Whether the other side closes, while it is sent something ten times a second ten times as long as is given."""
    with suppress(ConnectionError):
        for _ in range(50):
            connection.sendall(piece)
            time.sleep(0.1)
        return False
    return True


@pytest.fixture(scope="module")
def quick() -> Iterator[int]:
    """The port of a server with few connections and little patience."""
    with _serve(ConnectionLimits(connections=20, head_seconds=0.5, stall_seconds=0.5)) as server:
        yield _port(server)


def test_connection_is_closed_when_nothing_comes(quick: int) -> None:
    with _connect(quick) as connection:
        assert _read(connection) == (0, None)


def test_reason_is_told_when_a_head_does_not_end(quick: int) -> None:
    with _connect(quick) as connection:
        connection.sendall(HEAD)
        status, problem = _read(connection)
    assert (status, problem["code"], problem["status"]) == (408, "head_timeout", 408)


def test_connection_is_closed_when_a_head_comes_byte_by_byte(quick: int) -> None:
    with _connect(quick) as connection:
        assert _send_until_closed(connection, b"G")


def test_second_request_is_answered_when_the_first_took_longer_than_a_head_may(quick: int) -> None:
    with _connect(quick) as connection:
        for _ in range(2):
            connection.sendall(HEAD + b"Content-Length: 4\r\n\r\n12")
            time.sleep(0.8)
            connection.sendall(b"34")
            answer = b""
            while not answer.endswith(b"{}"):
                answer += connection.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200 ")


def test_connection_is_closed_when_a_body_goes_on_after_the_answer(quick: int) -> None:
    with _connect(quick) as connection:
        connection.sendall(b"POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n")
        assert _send_until_closed(connection, b"x" * 1000)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 40_000 + b"\r\n", id="lines"),
        pytest.param(b"GET / HTTP/1.1\nHost: x\n" + b"X: y\n" * 101 + b"\n", id="bare-feeds"),
    ],
)
def test_head_is_refused_when_it_is_large_and_comes_at_once(quick: int, head: bytes) -> None:
    with _connect(quick) as connection:
        try:
            connection.sendall(head)
        except ConnectionError:
            return
        status, problem = _read(connection)
    assert (status, problem and problem["code"]) in ((431, "head_too_large"), (0, None))


@pytest.mark.parametrize(
    ("framing", "piece"), [(b"Transfer-Encoding: chunked", b"1\r\nx\r\n"), (b"Content-Length: 1000000", b"x")]
)
def test_body_is_refused_when_it_comes_in_crumbs(quick: int, framing: bytes, piece: bytes) -> None:
    with _connect(quick) as connection, LoopProbe(quick) as probe:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(HEAD + framing + b"\r\n\r\n")
        try:
            if len(piece) > 1:
                connection.sendall(piece * 500_000)
            for _ in range(20_000):
                connection.sendall(piece)
                time.sleep(0.0001)
        except ConnectionError:
            pass
        status, problem = _read(connection)
    probe.require_quick()
    assert (status, problem and problem["code"]) in ((400, "body_in_pieces"), (0, None))


def test_connection_is_closed_when_an_answer_is_not_read() -> None:
    limits = ConnectionLimits(connections=20, head_seconds=5, stall_seconds=0.3)
    with _serve(limits) as server, _connect(_port(server)) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _await(lambda: server.server_state.connections)
        _await(lambda: not server.server_state.connections)


def test_answer_is_whole_when_it_is_read_slowly() -> None:
    with _serve(ConnectionLimits(20, 5, stall_seconds=0.5)) as server, _connect(_port(server)) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received, pause = 0, 0
        while part := connection.recv(2**20):
            received += len(part)
            pause += 1
            time.sleep(0.2 if pause < 10 else 0)
    assert received > ANSWER_BYTES


def test_new_connection_is_answered_when_idle_ones_take_all_places() -> None:
    with _serve(ConnectionLimits(connections=5, head_seconds=30)) as server, ExitStack() as stack:
        idle = [stack.enter_context(_connect(_port(server))) for _ in range(40)]
        # They might be about to ask something.
        time.sleep(0.3)
        assert httpx2.get(f"http://127.0.0.1:{_port(server)}/echo").status_code == 200
        assert len(server.server_state.connections) <= 5
        assert _read(idle[0]) == (0, None)


def test_new_connection_hears_503_when_all_are_being_answered() -> None:
    with _serve(ConnectionLimits(connections=5, head_seconds=30)) as server, ExitStack() as stack:
        url = f"http://127.0.0.1:{_port(server)}"
        for _ in range(5):
            stack.enter_context(_connect(_port(server))).sendall(HEAD + b"Content-Length: 5\r\n\r\nx")
        _await(lambda: len(server.server_state.tasks) == 5)
        refused = httpx2.get(f"{url}/echo")
        assert (refused.status_code, refused.json()["code"]) == (503, "connections_full")
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert httpx2.get(f"{url}/livez").status_code == 200
        # Busy ones beyond the spare places as well: refused unheard.
        for _ in range(64):
            connection = stack.enter_context(_connect(_port(server)))
            connection.sendall(b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nx")
        _await(lambda: len(server.server_state.tasks) == 69)
        with _connect(_port(server)) as connection:
            status, problem = _read(connection)
        assert (status, problem["code"]) == (503, "connections_full")


@pytest.mark.parametrize(("files", "bound"), [((100, 1256), 1000), ((1024, 4096), 2000)])
def test_connections_are_as_many_as_files_may_be_open(files: tuple[int, int], bound: int) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4096:
        pytest.skip("the system allows too few open files")
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, {files})\n"
        "from service.cli.commands.serve import bound_connections; print(bound_connections(2000))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) == bound


@pytest.mark.parametrize(("proxies", "believed"), [((), "127.0.0.1"), (("127.0.0.1", "10.0.0.0/8"), "6.6.6.6")])
def test_client_is_who_a_trusted_proxy_says(proxies: tuple[str, ...], believed: str) -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, *_: Any) -> None:
        seen.update(scope)

    config = configure(ForwardedAddress(app, "", proxies), Settings())
    config.load()
    headers = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-proto", b"https")]
    scope = {"type": "http", "path": "/", "client": ("127.0.0.1", 1), "scheme": "http", "headers": headers}
    asyncio.run(config.loaded_app(scope, None, None))
    assert (seen["client"][0], seen["scheme"]) == (believed, "https" if proxies else "http")
