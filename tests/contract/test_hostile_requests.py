"""Requests made to stop the event loop: `/livez` is answered meanwhile, and the next good request afterwards."""

import json
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx2
import pytest

from tests.contract.conftest import assert_problem
from tests.loop_probe import LoopProbe
from tests.server import Server

TINY = "/v1/models/tiny/"
MEGABYTE = 2**20
# Guards against hanging; no answer is expected to take long.
LIMIT_SECONDS = 60.0
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server], picture: bytes) -> Server:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # As most systems have it.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, soft), hard))
    server = start_server()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    server.wait_until_ready()
    assert httpx2.post(server.url + TINY + "grad-cam", files={"image": picture}, timeout=LIMIT_SECONDS).is_success
    return server


@pytest.fixture
def watched(server: Server, picture: bytes) -> Iterator[httpx2.Client]:
    """A client; while it is used the loop goes on, and afterwards a good request is answered."""
    with httpx2.Client(base_url=server.url + TINY, timeout=LIMIT_SECONDS) as client:
        with LoopProbe(server.port) as probe:
            yield client
        probe.require_quick()
        assert client.post("grad-cam", files={"image": picture}).is_success
    assert "Traceback" not in server.log()


def _keys(count: int, length: int = 0) -> bytes:
    return json.dumps({f"{number}{'colormap' * (length // 8)}": 1 for number in range(count)}).encode()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(_keys(20_000), 422, "invalid_parameters", id="unknown-names"),
        pytest.param(_keys(50, 80_000), 422, "invalid_parameters", id="long-names"),
        pytest.param(b'{"layer": [' + b"[]," * (9 * MEGABYTE) + b"0]}", 400, "invalid_json", id="lists"),
        pytest.param(b'{"layer": [' + b"0," * (13 * MEGABYTE) + b"0]}", 400, "invalid_json", id="numbers"),
        pytest.param(b'{"layer": ' + b"[" * MEGABYTE + b"}", 400, "invalid_json", id="depth"),
        pytest.param(b'{"class_index": ' + b"9" * (20 * MEGABYTE) + b"}", 400, "invalid_json", id="digits"),
        pytest.param(b'{"image": "' + b"A " * (13 * MEGABYTE) + b'"}', 422, "image_invalid", id="spaces"),
        pytest.param(b'{"image": "' + b"\\u0041" * (4 * MEGABYTE) + b'"}', 422, "image_invalid", id="escapes"),
        pytest.param(b'{"layer": "' + b"0," * (13 * MEGABYTE) + b'"}', 400, "invalid_json", id="text"),
    ],
)
def test_loop_goes_on_when_json_is_hostile(watched: httpx2.Client, body: bytes, status: int, code: str) -> None:
    response = watched.post("grad-cam", content=body, headers=JSON)
    problem = assert_problem(response, status, code)
    assert len(response.content) < 10_000
    assert len(problem.get("errors", [])) <= 20


def _form(fields: dict[str, str], times: int = 1) -> tuple[bytes, dict[str, str]]:
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    return ("".join(parts) * times + "--x--\r\n").encode(), {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize(
    ("method", "fields", "times"),
    [
        pytest.param("layer-health", {"layers": "0," * (MEGABYTE // 2)}, 20, id="layers"),
        pytest.param("activations", {"channels": "0," * (MEGABYTE // 2)}, 20, id="channels"),
        pytest.param("activations", {"channels": "0-9" * (MEGABYTE // 3)}, 1, id="range"),
        pytest.param("grad-cam", {"class_index": "9" * 5000}, 20, id="digits"),
        pytest.param("grad-cam", {"class_index": "9" * MEGABYTE}, 20, id="more-digits"),
        pytest.param("grad-cam", {"layer": "0" * MEGABYTE}, 20, id="layer"),
        pytest.param("grad-cam", {"opacity": "0." + "1" * (MEGABYTE - 2)}, 1, id="fraction"),
        pytest.param("grad-cam", {f"colormap{number}": "x" * 300_000 for number in range(60)}, 1, id="unknown"),
        pytest.param("grad-cam", {"versions": "1," * (MEGABYTE // 2)}, 20, id="versions"),
        pytest.param("grad-cam", {"versions": ",".join(map(str, range(100_000)))}, 1, id="many-versions"),
        pytest.param("grad-cam", {"dataset": "x" * MEGABYTE}, 1, id="dataset"),
        pytest.param("grad-cam", {"image": "A " * (MEGABYTE // 2)}, 1, id="image"),
    ],
)
def test_loop_goes_on_when_a_form_is_hostile(
    watched: httpx2.Client, method: str, fields: dict[str, str], times: int
) -> None:
    body, headers = _form(fields, times)
    response = watched.post(method, content=body, headers=headers)
    assert response.status_code in (404, 422), response.text[:300]
    assert len(response.content) < 10_000
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "x" * 5000])
def test_loop_goes_on_when_a_charset_is_hostile(watched: httpx2.Client, charset: str) -> None:
    body, headers = _form({"layer": "a" * 80_000 + "-" + "a" * 80_000})
    headers = {"Content-Type": f"{headers['Content-Type']}; charset={charset}"}
    assert_problem(watched.post("grad-cam", content=body, headers=headers), 400, "invalid_form", "UTF-8")


# As long as a head may be, and as much like the names at hand as can be.
LONG = "block_conv1_relu_pool_" * 600


@pytest.mark.parametrize(
    "path", [f"/v1/models/{LONG}", f"/v1/models/{LONG}/grad-cam", f"{TINY}versions/{LONG}", f"/v1/jobs/{LONG}"]
)
def test_loop_goes_on_when_a_name_is_long(watched: httpx2.Client, path: str) -> None:
    for _ in range(20):
        response = watched.request("POST" if path.endswith("cam") else "GET", httpx2.URL(watched.base_url).join(path))
        assert response.status_code == 404
        assert len(response.json()["detail"]) < 500


def test_loop_goes_on_when_preferences_are_hostile(watched: httpx2.Client) -> None:
    headers = {"Prefer": "a" + "; " * 23 + "("}
    assert_problem(watched.post("grad-cam", headers=headers), 422, "image_missing")


def test_everyone_is_answered_when_a_thousand_connections_are_silent(server: Server, picture: bytes) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 4096:
        pytest.skip(f"the system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    with ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_SECONDS))
        with LoopProbe(server.port) as probe:
            form = {"image": picture}
            answer = httpx2.post(f"{server.url}{TINY}grad-cam", files=form, timeout=LIMIT_SECONDS)
        assert answer.status_code == 200
        probe.require_quick()
    assert "Too many open files" not in server.log()
