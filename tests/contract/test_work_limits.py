"""What one request may take of the service: seconds, memory, places, room on the disk. Others are served meanwhile."""

import base64
import io
import json
import re
import resource
import socket
import struct
import threading
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.contract.conftest import MakeClient, assert_problem
from tests.server import Server

GRAD_CAM = "/v1/models/tiny/grad-cam"
PREDICTIONS = "/v1/models/tiny/predictions"
# Guards against hanging; no answer is expected to take long.
LIMIT_SECONDS = 60.0
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server], picture: bytes) -> Server:
    """Four requests computed, in memory for two large pictures; datasets checked for 0.5 s, two received at a time."""
    server = start_server(
        CONVSCOPE_LIMITS__RUNNING_REQUESTS="4",
        CONVSCOPE_LIMITS__WAITING_REQUESTS="20",
        CONVSCOPE_LIMITS__WORK_BYTES=str(400 * MEGABYTE),
        CONVSCOPE_LIMITS__RESULT_CACHE_BYTES="0",
        CONVSCOPE_LIMITS__DATASET_CHECK_SECONDS="0.5",
        CONVSCOPE_LIMITS__DATASET_UPLOADS="2",
        CONVSCOPE_LIMITS__MAX_IMAGE_BYTES=str(2 * MEGABYTE),
    )
    assert _post(server, picture).status_code == 200
    return server


def _post(server: Server, picture: bytes, route: str = GRAD_CAM, **more: Any) -> Any:
    return httpx2.post(server.url + route, files={"image": picture}, timeout=LIMIT_SECONDS, **more)


def gray_png(width: int, height: int, bits: int) -> bytes:
    """Some kilobytes, whatever it measures."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((1 + width * bits // 8) * height), 9)
    header = struct.pack(">LLBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def annotated_dataset(picture: bytes, count: int) -> bytes:
    """A ZIP of so many pictures, each with the largest XML file that is read, in half a kilobyte."""
    body = b"<annotation>" + b"<a/>" * 65_000 + b"</annotation>"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for number in range(count):
            archive.writestr(f"{number}.png", picture)
            archive.writestr(f"{number}.xml", body)
    return buffer.getvalue()


def test_heat_maps_are_drawn_when_sixteen_datasets_take_long_to_check(server: Server, picture: bytes) -> None:
    hostile = annotated_dataset(picture, 125)
    assert len(hostile) < 2**17

    def send(_: int) -> Any:
        return httpx2.post(server.url + GRAD_CAM, files={"images": hostile}, timeout=LIMIT_SECONDS)

    # Made before: a client takes longer to make than a heat map.
    with ThreadPoolExecutor(16) as threads, httpx2.Client(base_url=server.url, timeout=LIMIT_SECONDS) as client:
        assert client.get("/livez").status_code == 200
        sent = [threads.submit(send, number) for number in range(16)]
        time.sleep(0.5)
        assert client.post(GRAD_CAM, files={"image": picture}).status_code == 200
        assert not all(future.done() for future in sent), "heat maps waited for all of the datasets"
        for future in sent:
            assert_problem(future.result(), 503, "deadline_exceeded", "0.5 seconds")
            assert future.result().headers["retry-after"]


def test_dataset_is_refused_when_its_annotations_are_too_many(server: Server, picture: bytes) -> None:
    response = httpx2.post(
        server.url + GRAD_CAM, files={"images": annotated_dataset(picture, 200)}, timeout=LIMIT_SECONDS
    )
    assert_problem(response, 422, "annotation_invalid", "XML files")


def _computed(server: Server) -> float:
    metrics = httpx2.get(f"{server.url}/metrics").text
    found = re.findall(r'^convscope_stage_duration_seconds_count\{.*stage="compute"\} (\S+)$', metrics, re.MULTILINE)
    return sum(map(float, found))


def _waiting(server: Server) -> float:
    metrics = httpx2.get(f"{server.url}/metrics").text
    found = re.search(r'^convscope_executor_requests\{state="waiting"\} (\S+)$', metrics, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_what_has_not_begun_is_dropped_when_its_client_leaves(server: Server, picture: bytes) -> None:
    large = gray_png(4000, 2500, 16)
    before = _computed(server)
    request = httpx2.Request("POST", server.url + GRAD_CAM, files={"image": picture})
    body = request.read()
    head = f"POST {GRAD_CAM} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {request.headers['content-type']}\r\n"
    with ThreadPoolExecutor(4) as threads:
        working = [threads.submit(_post, server, large) for _ in range(4)]
        time.sleep(0.2)
        for _ in range(12):
            with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_SECONDS) as connection:
                connection.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                time.sleep(0.01)
        assert [future.result().status_code for future in working] == [200] * 4
    assert _post(server, picture).status_code == 200
    # Those that came before all threads were taken, or when the first was free again, may have been.
    assert _computed(server) - before <= 4 + 1 + 6
    assert _waiting(server) == 0
    assert "Traceback" not in server.log()


def _dawdle(server: Server, stack: ExitStack, size: int) -> socket.socket:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_SECONDS))
    head = f"POST {GRAD_CAM} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    start = '--x\r\nContent-Disposition: form-data; name="images"; filename="a.zip"\r\n\r\nPK\x03\x04'
    connection.sendall(f"{head}Content-Length: {size}\r\n\r\n{start}".encode())
    return connection


def test_honest_client_is_served_when_eight_others_dawdle(server: Server, picture: bytes) -> None:
    """At a kilobyte a second, for ten minutes if they may."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", picture)
        archive.writestr("a.txt", bytes(4 * MEGABYTE))
    stop = threading.Event()

    def trickle(connections: list[socket.socket]) -> None:
        while not stop.wait(1):
            for connection in connections:
                try:
                    connection.sendall(bytes(1000))
                except OSError:
                    continue

    with ExitStack() as stack, ThreadPoolExecutor(1) as threads:
        dawdlers = [_dawdle(server, stack, 100 * MEGABYTE) for _ in range(8)]
        trickling = threads.submit(trickle, dawdlers)
        try:
            time.sleep(0.5)
            statuses = [_send_dataset(server, buffer.getvalue()) for _ in range(4)]
        finally:
            stop.set()
        trickling.result()
    assert 202 in statuses, statuses


def _send_dataset(server: Server, data: bytes) -> int:
    """As a client would that is told to try again."""
    response = httpx2.post(server.url + GRAD_CAM, files={"images": data}, timeout=LIMIT_SECONDS)
    if response.status_code == 503:
        time.sleep(float(response.headers["retry-after"]))
    return int(response.status_code)


def _status(server: Server, name: str) -> int:
    text = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    return int(text.partition(f"{name}:")[2].split()[0]) * 1024


def test_memory_is_bounded_when_ten_send_small_files_of_large_pictures(server: Server, picture: bytes) -> None:
    large = gray_png(4000, 2500, 16)
    assert len(large) < 2**15
    Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="ascii")
    before = _status(server, "VmHWM")
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: _post(server, large, PREDICTIONS), range(10)))
    grown = _status(server, "VmHWM") - before
    assert set(Counter(answer.status_code for answer in answers)) <= {200, 503}
    assert any(answer.status_code == 200 for answer in answers)
    for answer in answers:
        if answer.status_code == 503:
            assert_problem(answer, 503, "server_busy", "memory")
    # The budget, and what is not a picture's; four of them at a time took 1,040 MB.
    assert grown < 600 * MEGABYTE
    too_large = gray_png(6000, 6000, 16)
    assert _post(server, too_large, PREDICTIONS).status_code == 200
    assert_problem(_post(server, too_large), 422, "image_too_many_pixels", "smaller")
    assert _post(server, picture, PREDICTIONS).status_code == 200


@pytest.fixture
def full(server: Server) -> Iterator[Server]:
    """It can write no file of more than 100 kB, as if there were no room for it."""
    before = len(server.log())
    unlimited = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (100_000, unlimited[1]))
    yield server
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)
    assert "Traceback" not in server.log()[before:]


def test_it_is_told_that_there_is_no_room_when_temporary_files_cannot_be_written(full: Server, picture: bytes) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", picture)
        archive.writestr("b.txt", bytes(3 * MEGABYTE))
    data = buffer.getvalue()
    noise = bytes(range(256)) * 6000
    for files in ({"image": noise}, {"images": data}, {"images": data[:200_000]}):
        response = httpx2.post(full.url + GRAD_CAM, files=files, timeout=LIMIT_SECONDS)
        assert_problem(response, 503, "temporary_storage_full", "room", "again")
        assert response.headers["retry-after"]
    # In JSON nothing is written before a dataset is packed.
    encoded = base64.b64encode(noise[:200_000]).decode()
    response = httpx2.post(full.url + GRAD_CAM, content=json.dumps({"images": [encoded]}), timeout=LIMIT_SECONDS,
                           headers={"Content-Type": "application/json"})  # fmt: skip
    assert_problem(response, 503, "temporary_storage_full", "room", "again")
    response = httpx2.post(full.url + GRAD_CAM, json={"dataset": "shapes"}, timeout=LIMIT_SECONDS)
    assert_problem(response, 503, "temporary_storage_full", "room", "again")
    assert _post(full, picture).status_code == 200


def test_request_is_given_up_when_it_takes_too_long(make_client: MakeClient, picture: bytes) -> None:
    hurried = make_client(request_seconds=1e-6)
    assert_problem(hurried.post(GRAD_CAM, files={"image": picture}), 503, "deadline_exceeded", "send less")
