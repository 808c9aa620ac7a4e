"""A service under load and with bad clients: what it cannot do at once it refuses politely, and it always answers."""

import base64
import io
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.contract.conftest import add_model, assert_problem
from tests.loop_probe import LoopProbe
from tests.server import Server

GRAD_CAM = "/v1/models/tiny/grad-cam"
# Guards against hanging; no answer is expected to take long.
LIMIT_SECONDS = 60.0


@pytest.fixture(scope="module")
def narrow(start_server: Callable[..., Server], picture: bytes) -> Server:
    """One request computed, two waiting; bodies must arrive within a second."""
    server = start_server(
        CONVSCOPE_LIMITS__RUNNING_REQUESTS="1",
        CONVSCOPE_LIMITS__WAITING_REQUESTS="2",
        CONVSCOPE_LIMITS__BODY_TIMEOUT_SECONDS="1",
        CONVSCOPE_LIMITS__RESULT_CACHE_BYTES="0",
    )
    assert _post(server, picture).status_code == 200
    return server


@pytest.fixture(scope="module")
def roomy(start_server: Callable[..., Server], picture: bytes) -> Server:
    """Default settings, but that nothing is answered from memory."""
    server = start_server(CONVSCOPE_LIMITS__RESULT_CACHE_BYTES="0")
    assert _post(server, picture).status_code == 200
    return server


@pytest.fixture(scope="module")
def large() -> bytes:
    """Few bytes, many pixels: some tenths of a second's work."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((3000, 2500), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def _post(server: Server, picture: bytes) -> Any:
    return httpx2.post(server.url + GRAD_CAM, files={"image": picture}, timeout=LIMIT_SECONDS)


def _post_many(server: Server, picture: bytes, count: int) -> list[Any]:
    """At the same moment, each on a connection of its own."""
    start = threading.Barrier(count)
    everyone = httpx2.Limits(max_connections=count)
    with httpx2.Client(timeout=LIMIT_SECONDS, limits=everyone) as client, ThreadPoolExecutor(count) as threads:

        def post(_: int) -> Any:
            start.wait(LIMIT_SECONDS)
            return client.post(server.url + GRAD_CAM, files={"image": picture})

        return list(threads.map(post, range(count)))


def test_requests_beyond_the_waiting_room_are_refused_when_many_come_at_once(narrow: Server, large: bytes) -> None:
    responses = _post_many(narrow, large, 16)
    statuses = Counter(response.status_code for response in responses)
    assert set(statuses) == {200, 503}
    assert statuses[200] >= 3
    for response in responses:
        if response.status_code == 503:
            assert_problem(response, 503, "server_busy", "try again")
            assert int(response.headers["retry-after"]) >= 1
    assert _post(narrow, large).status_code == 200


def test_everyone_is_answered_when_as_many_come_as_clients_send_together(roomy: Server, picture: bytes) -> None:
    for _ in range(4):
        assert Counter(response.status_code for response in _post_many(roomy, picture, 16)) == {200: 16}


def test_probes_are_answered_when_all_threads_compute(narrow: Server, large: bytes) -> None:
    with ThreadPoolExecutor(3) as threads, LoopProbe(narrow.port) as probe:
        computing = [threads.submit(_post, narrow, large) for _ in range(3)]
        assert [future.result().status_code for future in computing] == [200, 200, 200]
    probe.require_quick()


def _noise(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 48, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _count_batches(server: Server) -> float:
    metrics = httpx2.get(f"{server.url}/metrics").text
    found = re.search(r'^convscope_batch_size_count\{model="tiny"\} (\S+)$', metrics, re.MULTILINE)
    return float(found[1]) if found else 0


def _pixels(answer: Any, name: str) -> Any:
    (data,) = (image["data"] for image in answer.json()["images"] if image["name"] == name)
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        return np.asarray(picture.convert("RGB"), np.int16)


def test_answers_are_the_same_when_requests_are_computed_together(roomy: Server) -> None:
    pictures = [_noise(seed) for seed in range(16)]
    # In gray a level of the map is a level of the picture.
    fields = {"class_index": "2", "colormap": "gray"}

    def post(picture: bytes) -> Any:
        return httpx2.post(
            roomy.url + GRAD_CAM, files={"image": picture}, data=fields, timeout=LIMIT_SECONDS,
            headers={"Cache-Control": "no-cache"},
        )  # fmt: skip

    before = _count_batches(roomy)
    with ThreadPoolExecutor(len(pictures)) as threads:
        together = list(threads.map(post, pictures))
    assert _count_batches(roomy) - before < len(pictures), "some were computed together"
    for picture, merged in zip(pictures, together, strict=True):
        single = post(picture)
        for one, other in zip(single.json()["predictions"], merged.json()["predictions"], strict=True):
            assert one["index"] == other["index"]
            assert abs(one["score"] - other["score"]) < 1e-4
        assert single.json()["target"]["value"] == pytest.approx(merged.json()["target"]["value"], rel=1e-4, abs=1e-4)
        for name in ("heatmap", "overlay"):
            assert np.abs(_pixels(single, name) - _pixels(merged, name)).max() <= 1


def _connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_SECONDS)


def _head(length: int, content_type: str = "application/json") -> bytes:
    lines = (
        f"POST {GRAD_CAM} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {content_type}",
        f"Content-Length: {length}",
    )
    return "\r\n".join((*lines, "", "")).encode()


@pytest.mark.parametrize(
    ("content_type", "part"), [("application/json", b"{"), ("multipart/form-data; boundary=x", b"--x\r\n")]
)
def test_body_is_refused_when_it_comes_too_slowly(
    narrow: Server, picture: bytes, content_type: str, part: bytes
) -> None:
    with _connect(narrow) as connection:
        connection.sendall(_head(1000, content_type) + part)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
            if b"\r\n\r\n" in answer and answer.endswith(b"}"):
                break
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in head
    problem = json.loads(body)
    assert problem["code"] == "body_timeout"
    assert "1 second" in problem["detail"]
    assert _post(narrow, picture).status_code == 200


def test_body_is_taken_when_it_comes_slowly_but_steadily(narrow: Server, picture: bytes) -> None:
    body = json.dumps({"image": base64.b64encode(picture).decode()}).encode().ljust(150_000)
    with _connect(narrow) as connection:
        connection.sendall(_head(len(body)))
        # Three times the second that a body may take whatever its rate.
        for start in range(0, len(body), 15_000):
            connection.sendall(body[start : start + 15_000])
            time.sleep(0.3)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


def test_room_is_left_when_slow_clients_hold_their_bodies_back(narrow: Server, picture: bytes) -> None:
    slow = [_connect(narrow) for _ in range(20)]
    try:
        for connection in slow:
            connection.sendall(_head(1000) + b"{")
        assert _post(narrow, picture).status_code == 200
    finally:
        for connection in slow:
            connection.close()


def test_nothing_is_lost_when_clients_go_away_in_the_middle(roomy: Server, picture: bytes) -> None:
    before = len(roomy.log())
    form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + picture
    for content_type, part in (("application/json", b'{"image": "'), ("multipart/form-data; boundary=x", form)):
        for _ in range(40):
            with _connect(roomy) as connection:
                connection.sendall(_head(10**6, content_type) + part)
    end = time.monotonic() + LIMIT_SECONDS
    # Until the last has been heard, they are more than may come at once.
    while "convscope_bodies_awaited 0.0" not in httpx2.get(f"{roomy.url}/metrics").text:
        assert time.monotonic() < end, "bodies of clients that went away are still waited for"
        time.sleep(0.1)
    assert Counter(response.status_code for response in _post_many(roomy, picture, 16)) == {200: 16}
    log = roomy.log()[before:]
    assert "Traceback" not in log
    assert "ERROR" not in log


def test_places_come_back_when_clients_do_not_wait_for_the_answer(narrow: Server, large: bytes, picture: bytes) -> None:
    before = len(narrow.log())
    request = httpx2.Request("POST", narrow.url + GRAD_CAM, files={"image": large})
    body = request.read()
    for _ in range(6):
        with _connect(narrow) as connection:
            connection.sendall(_head(len(body), request.headers["content-type"]) + body)
    end = time.monotonic() + LIMIT_SECONDS
    while _post(narrow, picture).status_code != 200:
        assert time.monotonic() < end, "the places of clients that went away never came back"
        time.sleep(0.1)
    assert "Traceback" not in narrow.log()[before:]


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET /livez\r\n\r\n", id="no-version"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="tls"),
        pytest.param(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="long-path"),
        pytest.param(b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 50_000 + b"\r\n", id="many-headers"),
        pytest.param(_head(-5), id="negative-length"),
        pytest.param(_head(5) + b'{"a"}' * 3, id="more-than-announced"),
        pytest.param(
            b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n", id="bad-chunk"
        ),
    ],
)
def test_service_lives_when_a_client_does_not_speak_http(roomy: Server, request_bytes: bytes) -> None:
    with _connect(roomy) as connection:
        connection.settimeout(5)
        try:
            connection.sendall(request_bytes)
            answer = connection.recv(100)
        except (ConnectionError, TimeoutError):
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 5")
    assert httpx2.get(f"{roomy.url}/livez").status_code == 200


def test_shutdown_is_clean_when_it_comes_during_the_start(start_server: Callable[..., Server]) -> None:
    server = start_server()
    server.stop()
    assert "Traceback" not in server.log()


def test_shutdown_leaves_no_error_when_models_are_still_loading(
    tmp_path: Path, keras_file: Callable[..., Path]
) -> None:
    for number in range(5):
        add_model(tmp_path / "models", f"model{number}", keras_file("tiny"), "")
    settings = Settings(models=tmp_path / "models", data=tmp_path / "data", worker={"warm": False})
    with TestClient(create_app(settings), base_url="http://127.0.0.1"):
        warm_up = next(thread for thread in threading.enumerate() if thread.name == "warm-up")
    # An exception in the thread would be a warning of pytest's, which is an error here.
    warm_up.join(LIMIT_SECONDS)
    assert not warm_up.is_alive()
