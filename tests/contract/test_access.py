"""Who may speak to the service: by which names, for which pages. And what every answer tells browsers."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.api.access.hosts import HostNames, parse_host
from service.api.headers import SECURITY
from service.app import create_app
from service.settings import Settings
from tests.contract.conftest import assert_problem

BASE = "http://127.0.0.1"
GRAD_CAM = "/v1/models/tiny/grad-cam"
FOREIGN = "https://evil.example"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "localhost.", "cam.localhost:1", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000",
     "[::ffff:127.0.0.1]", "192.168.1.5:8000", "10.0.0.7"],
)  # fmt: skip
def test_request_is_answered_when_it_names_this_machine(client: Any, host: str) -> None:
    assert client.get("/v1/datasets", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "evillocalhost", "127.0.0.1.evil.example",
     "testserver", "2130706433", "0x7f.1", "[::1", "::1", "", "local host", "localhost/x", "user@localhost",
     "localhost:x", "localhost, evil.example", "x" * 5000],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/v1/models", "/ui/app.js", "/docs", "/nowhere"])
def test_request_is_refused_when_it_names_another_host(client: Any, host: str, path: str) -> None:
    response = client.get(path, headers={"Host": host})
    problem = assert_problem(response, 421, "host_not_allowed", "CONVSCOPE_HOSTS")
    assert len(problem["detail"]) < 300


def test_request_is_refused_when_it_names_two_hosts(client: Any) -> None:
    response = client.get("/v1/models", headers=[("Host", "localhost"), ("Host", "evil.example")])
    assert_problem(response, 421, "host_not_allowed")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_probes_are_answered_when_they_name_any_host_and_origin(client: Any, path: str) -> None:
    headers = {"Host": "evil.example", "Sec-Fetch-Site": "cross-site", "Origin": FOREIGN}
    assert client.get(path, headers=headers).status_code in (200, 503)


@pytest.mark.parametrize(
    ("name", "is_allowed"),
    [("gpu.example", True), ("GPU.example", True), ("a.lab.example", True), ("a.b.lab.example", True),
     ("lab.example", False), ("evillab.example", False), ("gpu.example.evil.example", False), ("localhost", True)],
)  # fmt: skip
def test_names_are_taken_when_they_are_listed(name: str, is_allowed: bool) -> None:  # noqa: FBT001
    host = parse_host(name)
    assert host is not None
    assert HostNames(("Gpu.Example", "*.lab.example")).allows(host.name) is is_allowed
    assert HostNames(("*",)).allows(host.name)


def test_names_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONVSCOPE_HOSTS", "gpu.example, *.lab.example")
    settings = Settings(host="bound.example", open=True, data=tmp_path, worker={"warm": False})
    client = TestClient(create_app(settings), base_url=BASE)
    for name, status in {"gpu.example": 200, "x.lab.example": 200, "bound.example": 200, "other.example": 421}.items():
        assert client.get("/v1/datasets", headers={"Host": name}).status_code == status


OWN: list[dict[str, str]] = [
    {},
    {"Origin": BASE},
    {"Origin": "http://127.0.0.1:80"},
    {"Sec-Fetch-Site": "same-origin", "Origin": BASE},
    # Behind a proxy that ends TLS the scheme is another one here; the browser knows better.
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://127.0.0.1"},
    {"Sec-Fetch-Site": "none"},
]
OTHERS: list[dict[str, str]] = [
    {"Origin": FOREIGN},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "https://127.0.0.1"},
    {"Origin": "http://127.0.0.1:8000"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Origin": "http://localhost"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Origin": BASE},
]


@pytest.mark.parametrize("headers", OWN)
def test_request_is_answered_when_a_program_or_an_own_page_asks(client: Any, headers: dict[str, str]) -> None:
    assert_problem(client.post(GRAD_CAM, headers=headers), 422, "image_missing")
    assert_problem(client.delete(f"/v1/jobs/{'0' * 32}", headers=headers), 404, "job_not_found")
    assert client.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", OTHERS)
def test_request_is_refused_when_a_foreign_page_asks(client: Any, headers: dict[str, str]) -> None:
    for method, path in (
        ("POST", GRAD_CAM),
        ("DELETE", f"/v1/jobs/{'0' * 32}"),
        ("POST", f"/v1/jobs/{'0' * 32}/cancel"),
        ("POST", "/v1/models/tiny/load"),
        ("POST", "/v1/models/tiny/versions/1/unload"),
    ):
        assert_problem(client.request(method, path, headers=headers), 403, "cross_site_refused", "own pages")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(("mode", "status"), [("navigate", 200), ("no-cors", 403), ("cors", 403)])
def test_foreign_page_may_only_link_when_it_reads(client: Any, site: str, mode: str, status: int) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
    assert client.get("/v1/models", headers=headers).status_code == status


def test_no_answer_lets_another_origin_read(client: Any) -> None:
    headers = {"Origin": FOREIGN, "Access-Control-Request-Method": "POST"}
    for response in (client.options(GRAD_CAM, headers=headers), client.get("/v1/models", headers={"Origin": FOREIGN})):
        assert not [name for name in response.headers if name.startswith("access-control-")]


async def _fail() -> None:
    raise RuntimeError("a fault of the service")


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    app = create_app(Settings(data=tmp_path_factory.mktemp("data"), worker={"warm": False}))
    app.add_api_route("/fail", _fail)
    return TestClient(app, base_url=BASE, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 200), ("HEAD", "/", 200), ("GET", "/ui/app.js", 200), ("GET", "/ui/nowhere.js", 404),
     ("GET", "/docs", 200), ("GET", "/docs/assets/swagger-ui.css", 200), ("GET", "/problems/not_found", 200),
     ("GET", "/openapi.json", 200), ("GET", "/nowhere", 404), ("PATCH", "/v1/models", 405),
      ("GET", "/v1/datasets", 200),
     ("GET", "/livez", 200), ("POST", "/v1/models/none/grad-cam", 404), ("GET", "/fail", 500)],
)  # fmt: skip
def test_browsers_are_told_how_little_they_may_do(failing: TestClient, method: str, path: str, status: int) -> None:
    headers = {"Accept": "text/html"} if path == "/" else {}
    response = failing.request(method, path, headers=headers)
    assert response.status_code == status
    for name, value in SECURITY.items():
        assert len(response.headers.get_list(name)) == 1, name
        if name != "Content-Security-Policy":
            assert response.headers[name] == value
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": FOREIGN}])
def test_browsers_are_told_when_they_are_refused(client: Any, headers: dict[str, str]) -> None:
    response = client.post(GRAD_CAM, headers=headers)
    assert response.status_code in (403, 421)
    assert set(SECURITY) <= {name for name in SECURITY if name in response.headers}
