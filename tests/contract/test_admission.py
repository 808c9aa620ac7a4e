"""What a request needs is held before its body is read: who is refused hears it first, and all is given back."""

import asyncio
import base64
import io
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from service.api.access.callers import Caller
from service.api.access.keys.changing import add_key
from service.api.requests.rates import Rates
from tests.contract.conftest import assert_problem
from tests.contract.keyed import make_keyed
from tests.redis_server import RedisServer
from tests.server import Server

GRAD_CAM = "/v1/models/tiny/grad-cam"
LIMIT_SECONDS = 30.0
LARGE = 2_300_000


@pytest.fixture(scope="module")
def small(start_server: Callable[..., Server], picture: bytes) -> Server:
    """Memory for one large body as JSON, beside small ones."""
    server = start_server(
        CONVSCOPE_LIMITS__MAX_IMAGE_BYTES=str(2**20),
        CONVSCOPE_LIMITS__BODY_BYTES=str(2**24),
        CONVSCOPE_LIMITS__RESULT_CACHE_BYTES="0",
        CONVSCOPE_LIMITS__RUNNING_REQUESTS="1",
    )
    assert _post(server, picture).status_code == 200
    return server


def _post(server: Server, picture: bytes) -> Any:
    return httpx2.post(server.url + GRAD_CAM, files={"image": picture}, timeout=LIMIT_SECONDS)


def _head(length: int | None, *headers: str) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = (f"POST {GRAD_CAM} HTTP/1.1", "Host: localhost", "Content-Type: application/json", size, *headers)
    return "\r\n".join((*lines, "", "")).encode()


@contextmanager
def _connect(server: Server, sent: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_SECONDS) as connection:
        connection.sendall(sent)
        yield connection


def _read(connection: socket.socket) -> tuple[bytes, Any]:
    """The head of an answer, and its JSON."""
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
        part = connection.recv(65536)
        assert part, answer
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, json.loads(body)


def _measure(server: Server, name: str) -> float:
    found = re.search(rf"^convscope_{name} (\S+)$", httpx2.get(f"{server.url}/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def _await(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


def _holds(server: Server) -> bool:
    return _measure(server, "bodies_awaited") > 0 and _measure(server, "body_bytes") > 10_000_000


@pytest.mark.parametrize("length", [LARGE, None], ids=["announced", "chunked"])
@pytest.mark.parametrize("expects", [(), ("Expect: 100-continue",)], ids=["plain", "expects"])
def test_refusal_comes_before_the_body_when_there_is_no_memory_for_it(
    small: Server, picture: bytes, length: int | None, expects: tuple[str, ...]
) -> None:
    with _connect(small, _head(LARGE) + b"{"):
        _await(lambda: _holds(small))
        with _connect(small, _head(length, *expects)) as refused:
            head, problem = _read(refused)
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1" in head.lower()
            assert problem["code"] == "server_busy"
            # No byte of the body was asked for, and the connection ends by itself.
            refused.shutdown(socket.SHUT_WR)
            assert refused.recv(100) == b""
        assert _post(small, picture).status_code == 200, "small ones have room"
    _await(lambda: _measure(small, "body_bytes") == 0)


def test_body_is_asked_for_when_it_has_been_let_in(small: Server, picture: bytes) -> None:
    body = json.dumps({"image": base64.b64encode(picture).decode()}).encode()
    with _connect(small, _head(len(body), "Expect: 100-continue")) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        head, answer = _read(connection)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert answer["method"] == "grad-cam"


def test_slow_body_gives_way_when_another_wants_its_memory(small: Server) -> None:
    with _connect(small, _head(LARGE) + b"{") as slow:
        _await(lambda: _holds(small))
        body = json.dumps({"image": "x"}).ljust(LARGE).encode()

        def is_taken() -> bool:
            with _connect(small, _head(LARGE) + body) as quick:
                head, problem = _read(quick)
                return head.startswith(b"HTTP/1.1 4") and problem["code"] == "image_invalid"

        _await(is_taken)
        head, problem = _read(slow)
    assert head.startswith(b"HTTP/1.1 408 ")
    assert "others wait" in problem["detail"]
    _await(lambda: _measure(small, "body_bytes") == 0)
    assert _measure(small, r'requests_refused_total\{reason="slow"\}') >= 1
    assert _measure(small, r'requests_refused_total\{reason="memory"\}') >= 1


def test_computation_is_given_up_when_its_client_leaves(small: Server) -> None:
    buffer = io.BytesIO()
    # Some tenths of a second are spent on decoding it.
    Image.linear_gradient("L").resize((5000, 4000), Image.Resampling.NEAREST).save(buffer, "PNG")
    request = httpx2.Request("POST", small.url + GRAD_CAM, files={"image": buffer.getvalue()})
    body = request.read()
    stages = r'stage_duration_seconds_count\{method="grad-cam",model="tiny",stage="render"\}'
    before, log = _measure(small, stages), len(small.log())
    sent = _head(len(body)).replace(b"application/json", request.headers["content-type"].encode()) + body
    for _ in range(3):
        with _connect(small, sent):
            _await(lambda: _measure(small, r'executor_requests\{state="running"\}') == 1)
    # Another that asks for the same has its answer.
    assert _post(small, buffer.getvalue()).status_code == 200
    assert _measure(small, stages) == before + 1
    assert "Traceback" not in small.log()[log:]
    _await(lambda: _measure(small, "body_bytes") == 0)


def test_memory_stays_within_its_bound_when_many_clients_send_slowly(small: Server, picture: bytes) -> None:
    """Each sends as much as it can before it is refused, or waited for."""
    with ThreadPoolExecutor(8) as threads:

        def visit(_: int) -> None:
            with _connect(small, _head(LARGE)) as connection:
                for _ in range(5):
                    try:
                        connection.sendall(b" " * 2000)
                    except ConnectionError:
                        return
                    time.sleep(0.05)

        visits = [threads.submit(visit, number) for number in range(60)]
        most = 0.0
        while not all(each.done() for each in visits):
            most = max(most, _measure(small, "body_bytes"))
            assert _post(small, picture).status_code == 200
    assert 10_000_000 < most <= 2**24
    _await(lambda: _measure(small, "body_bytes") == 0)


def test_key_beyond_its_rate_is_refused_while_others_are_answered(tmp_path: Path) -> None:
    keyed = make_keyed(tmp_path, limits={"owner_requests_per_minute": 3})
    generous = add_key(keyed.path, "generous", "use", limits={"requests_per_minute": 50})[0]
    keyed.authenticator.keys.look()
    with keyed.client as client:
        for left in (2, 1, 0):
            answer = client.get("/v1/models", headers=keyed.headers("use"))
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"minute";q=3;w=60'
            assert re.fullmatch(rf'"minute";r={left};t=\d+', answer.headers["ratelimit"])
        sent = iter([b"x" * 1000])
        refused = client.post(GRAD_CAM, headers=keyed.headers("use"), content=sent)
        assert_problem(refused, 429, "rate_limited", "3 requests")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["ratelimit"].startswith('"minute";r=0;')
        # Probes and pages are not counted; nor are others, nor by the same count.
        assert client.get("/livez").status_code == 200
        assert client.get("/v1/models", headers=keyed.headers("admin")).status_code == 200
        other = client.get("/v1/models", headers={"Authorization": f"Bearer {generous}"})
        assert other.headers["ratelimit-policy"] == '"minute";q=50;w=60'
        assert 'requests_refused_total{reason="rate"} 1' in client.get("/metrics", headers=keyed.headers("read")).text


def test_requests_have_no_rate_when_no_keys_are_asked_for(client: Any) -> None:
    assert "ratelimit" not in client.get("/v1/models").headers


def test_services_have_one_count_when_they_share_redis(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        services, caller = [Rates(3, url) for _ in range(2)], Caller("alice", "use")
        quotas = [await services[number % 2].take(caller) for number in range(4)]
        assert [quota and quota.granted for quota in quotas] == [True, True, True, False]
        for service in services:
            service.close()

    with RedisServer(tmp_path / "redis") as redis:
        asyncio.run(scenario(redis.url))
