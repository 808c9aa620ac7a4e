"""The service below a path: everything that it writes has the prefix, and only trusted proxies say which one."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from pydantic import ValidationError
from starlette.testclient import TestClient

from service.app import create_app
from service.client import Client
from service.prefixes import OWN_SEGMENTS, parse_prefix
from service.settings import Settings
from tests.contract.conftest import assert_problem
from tests.contract.workshop import SLOW_CAM, Workshop, open_workshop, serve

PROXY, STRANGER = "10.0.0.7", "10.0.0.8"
PREFIX = "/tools/convscope"
TOLD = {"X-Forwarded-Prefix": PREFIX, "X-Forwarded-Proto": "https", "X-Forwarded-Host": "localhost"}
BASE = "http://127.0.0.1"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, small_repository: Path) -> Iterator[Workshop]:
    """Its prefix comes with each request."""
    with open_workshop(small_repository, tmp_path_factory.mktemp("data"), trusted_proxies=(PROXY,)) as workshop:
        yield workshop


@pytest.fixture(scope="module")
def shelved(tmp_path_factory: pytest.TempPathFactory, small_repository: Path) -> Iterator[Workshop]:
    """Its prefix is a setting."""
    with open_workshop(small_repository, tmp_path_factory.mktemp("data"), root_path=f"{PREFIX}/") as workshop:
        yield workshop


@pytest.fixture(scope="module")
def placed(shelved: Workshop) -> Any:
    return shelved.app


def _by(app: Any, peer: str = PROXY, **headers: str) -> TestClient:
    return TestClient(app, client=(peer, 50000), base_url=BASE, headers=headers, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def proxied(told: Workshop) -> TestClient:
    return _by(told.app, **TOLD)


@pytest.mark.parametrize("kept", [PREFIX, ""])
def test_every_link_of_a_job_has_the_prefix(told: Workshop, proxied: TestClient, picture: bytes, kept: str) -> None:
    files, data = {"image": picture}, {"class_index": "1" if kept else "2"}
    response = proxied.post(f"{kept}/v1/models/tiny/{SLOW_CAM.name}", files=files, data=data)
    job = response.json()
    route = f"{PREFIX}/v1/jobs/{job['id']}"
    assert response.headers["location"] == route
    assert job["links"] == {"self": route, "events": f"{route}/events", "cancel": f"{route}/cancel"}
    told.work()
    events = proxied.get(f"{kept}/v1/jobs/{job['id']}/events").text
    done = proxied.get(f"{kept}/v1/jobs/{job['id']}").json()
    assert done["state"] == "succeeded"
    for image in done["result"]["images"]:
        assert image["href"] == f"{route}/images/{image['name']}"
        assert image["href"] in events
        assert proxied.get(image["href"]).status_code == 200
    assert f'"self":"{route}"' in events
    again = proxied.post(f"{kept}/v1/models/tiny/{SLOW_CAM.name}", files=files, data=data)
    assert again.headers["content-location"] == again.headers["location"] == route
    waited = proxied.post(
        f"{kept}/v1/models/tiny/{SLOW_CAM.name}", files=files, data=data, headers={"Accept": "image/png"}
    )
    assert waited.headers["content-location"].startswith(f"{route}/images/")


def test_links_are_those_of_each_request_when_several_prefixes_lead_to_one_job(
    told: Workshop, proxied: TestClient, picture: bytes
) -> None:
    def ask(client: TestClient) -> Any:
        return client.post(f"/v1/models/tiny/{SLOW_CAM.name}", files={"image": picture}).json()["links"]["self"]

    first, other, plain = ask(proxied), ask(_by(told.app, **{"X-Forwarded-Prefix": "/lab"})), ask(_by(told.app))
    assert first == f"{PREFIX}{plain}"
    assert other == f"/lab{plain}"


def test_pages_of_jobs_are_linked_with_the_prefix(told: Workshop, proxied: TestClient) -> None:
    ids = [told.submit() for _ in range(3)]
    page = proxied.get("/v1/jobs?limit=2").json()
    assert page["next"].startswith(f"{PREFIX}/v1/jobs?limit=2&after=")
    assert ids[0] in [job["id"] for job in proxied.get(page["next"]).json()["jobs"]]
    for job in ids:
        told.store.delete(job)


def test_problems_and_documents_have_the_prefix(proxied: TestClient) -> None:
    for path in ("/nowhere", "/ui/nowhere.js", "/docs/assets/nowhere.js"):
        assert proxied.get(path).json()["type"] == f"{PREFIX}/problems/not_found"
        assert proxied.get(path).json()["instance"] == f"{PREFIX}{path}"
    missing = proxied.get("/v1/models/none")
    assert missing.json()["type"] == f"{PREFIX}/problems/model_not_found"
    assert missing.json()["instance"] == f"{PREFIX}/v1/models/none"
    assert proxied.get(missing.json()["type"]).status_code == 200
    assert f"{PREFIX}/docs" in proxied.get("/nowhere").json()["detail"]
    events = proxied.get(f"/v1/jobs/{'0' * 32}/events")
    assert events.json()["instance"].startswith(f"{PREFIX}/v1/jobs/")


def test_document_keeps_no_prefix_of_another_request(tmp_path: Path) -> None:
    app = create_app(Settings(data=tmp_path, trusted_proxies=(PROXY,), worker={"warm": False}))
    assert _by(app, **TOLD).get("/openapi.json").json()["servers"] == [{"url": PREFIX}]
    assert "servers" not in _by(app).get("/openapi.json").json()
    # A new route needs a prefix that leads to no route of ours.
    routes = {path.split("/")[1] for path in app.openapi()["paths"]} | {"docs", "ui", "problems", "openapi.json"}
    assert routes <= OWN_SEGMENTS


@pytest.mark.parametrize("path", ["/", "/ui/app.js", "/ui/facts.json", "/docs", "/docs/assets/swagger-ui.css"])
def test_pages_are_found_below_the_prefix(told: Workshop, placed: Any, path: str) -> None:
    html = {"Accept": "text/html"}
    for client in (_by(told.app, **TOLD), _by(placed), _by(placed, STRANGER)):
        for address in (path, f"{PREFIX}{path}"):
            response = client.get(address, headers=html)
            assert response.status_code == 200, address
            assert 'href="/' not in response.text.replace(f'href="{PREFIX}/', "")


def test_start_page_names_its_files_by_the_prefix_so_that_the_last_slash_may_miss(proxied: TestClient) -> None:
    page = proxied.get("/", headers={"Accept": "text/html"}).text
    assert f'src="{PREFIX}/ui/app.js"' in page
    assert f'href="{PREFIX}/ui/style.css"' in page


@pytest.mark.parametrize(
    ("path", "to"), [("", "/"), ("?view=jobs", "/?view=jobs"), ("/docs/", "/docs"), ("/v1/models/", "/v1/models")]
)
def test_redirects_name_a_path_alone(told: Workshop, placed: Any, path: str, to: str) -> None:
    for client in (_by(told.app, **TOLD), _by(placed)):
        response = client.get(f"{PREFIX}{path}", follow_redirects=False)
        assert (response.status_code, response.headers["location"]) == (307, f"{PREFIX}{to}")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_probes_come_without_the_prefix_and_with_any_host(placed: Any, path: str) -> None:
    for address in (path, f"{PREFIX}{path}"):
        assert _by(placed, STRANGER).get(address, headers={"Host": "pod.example"}).status_code in (200, 503)


def test_prefix_of_the_settings_comes_before_what_a_client_may_have_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVSCOPE_ROOT_PATH", "/lab")
    app = create_app(Settings(data=tmp_path, trusted_proxies=(PROXY,), worker={"warm": False}))
    for said in (PREFIX, "//evil.example"):
        problem = _by(app, **{"X-Forwarded-Prefix": said}).get("/nowhere").json()
        assert problem["instance"] == "/lab/nowhere"


def test_nothing_is_believed_when_a_stranger_says_it(told: Workshop) -> None:
    client = _by(told.app, STRANGER, **TOLD | {"X-Forwarded-Host": "evil.example"})
    assert client.get("/nowhere").json()["instance"] == "/nowhere"
    page = client.get("/", headers={"Accept": "text/html"}).text
    assert PREFIX not in page
    # Right also below a path that the proxy takes off without a word.
    assert 'src="ui/app.js"' in page
    # Its own page is the one of the host that it asked for.
    foreign = client.post("/v1/models/tiny/grad-cam", headers={"Origin": "https://evil.example"})
    assert_problem(foreign, 403, "cross_site_refused")


@pytest.mark.parametrize(
    "said",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/tools/../x", "/tools/./x", "tools", "/a b", "/a\tb",
     "/a%2fb", "/a?b", "/a#b", '/a"b', "/a<b", "/a,/b", "/a//b", "/" + "x" * 200, "/v1", "/ui/x", "/docs", "/zürich"],
)  # fmt: skip
def test_prefix_is_refused_when_it_is_no_plain_path(told: Workshop, said: str) -> None:
    client = _by(told.app)
    response = client.get("/nowhere", headers=[(b"X-Forwarded-Prefix", said.encode())])
    problem = assert_problem(response, 400, "forwarded_invalid", "X-Forwarded-Prefix")
    assert problem["type"] == "/problems/forwarded_invalid"
    with pytest.raises(ValidationError):
        Settings(root_path=said)


@pytest.mark.parametrize(
    "headers",
    [[("X-Forwarded-Host", "a b")], [("X-Forwarded-Host", "a.example, b.example")], [("X-Forwarded-Proto", "gopher")],
     [("X-Forwarded-Host", "localhost/x")], [("X-Forwarded-Proto", "https,http")], [("X-Forwarded-Host", "a@b")],
     [("X-Forwarded-Host", "localhost"), ("X-Forwarded-Host", "localhost")],
     [("X-Forwarded-Prefix", "/a"), ("X-Forwarded-Prefix", "/b")]],
)  # fmt: skip
def test_request_is_refused_when_a_proxy_says_what_cannot_be(told: Workshop, headers: list[tuple[str, str]]) -> None:
    response = _by(told.app).get("/v1/models", headers=headers)
    assert_problem(response, 400, "forwarded_invalid", headers[0][0], "trusted proxy")
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("given", "prefix"), [("", ""), ("/", ""), ("/a", "/a"), ("/a/b-c_d.e~f/", "/a/b-c_d.e~f")])
def test_prefix_is_brought_into_one_form(given: str, prefix: str) -> None:
    assert parse_prefix(given) == prefix
    assert Settings(root_path=given).root_path == prefix


@pytest.mark.parametrize("proxy", ["proxy.example", "10.0.0.1/8", "10.0.0", "*,10.0.0.7"])
def test_start_is_refused_when_a_trusted_proxy_is_no_address(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("CONVSCOPE_TRUSTED_PROXIES", proxy)
    with pytest.raises(ValidationError):
        Settings()


# ---- the name that browsers see, where a proxy asks by another one


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data = tmp_path_factory.mktemp("data")
    return create_app(Settings(data=data, hosts=("cam.example",), trusted_proxies=(PROXY,), worker={"warm": False}))


def test_own_page_is_the_one_at_the_forwarded_host(named: Any) -> None:
    told = {"X-Forwarded-Host": "cam.example:8443", "X-Forwarded-Proto": "https"}
    for origin, status in {"https://cam.example:8443": 404, "https://cam.example": 403, BASE: 403}.items():
        response = _by(named, **told).delete(f"/v1/jobs/{'0' * 32}", headers={"Origin": origin})
        assert response.status_code == status, origin


@pytest.mark.parametrize("forwarded", ["evil.example", "cam.example.evil.example"])
def test_foreign_name_is_refused_when_the_proxy_was_asked_by_it(named: Any, forwarded: str) -> None:
    response = _by(named, **{"X-Forwarded-Host": forwarded}).get("/v1/models")
    assert_problem(response, 421, "host_not_allowed", forwarded)


def test_forwarded_name_opens_no_door_when_the_host_is_foreign(named: Any) -> None:
    client = _by(named, **{"X-Forwarded-Host": "cam.example"})
    assert_problem(client.get("/v1/models", headers={"Host": "evil.example"}), 421, "host_not_allowed")


class _Stripping(httpx2.HTTPTransport):
    """A proxy that takes the prefix off and says nothing."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.path.startswith(f"{PREFIX}/v1/"), request.url
        if self.strips:
            request.url = request.url.copy_with(path=request.url.path.removeprefix(PREFIX))
        return super().handle_request(request)

    def __init__(self, *, strips: bool) -> None:
        super().__init__()
        self.strips = strips


@pytest.mark.parametrize("strips", [False, True])
def test_client_follows_links_below_its_own_url(
    told: Workshop, shelved: Workshop, picture: bytes, *, strips: bool
) -> None:
    workshop = told if strips else shelved
    with serve(workshop.app) as url, Client(f"{url}{PREFIX}/", transport=_Stripping(strips=strips)) as client:
        job = client.submit(SLOW_CAM.name, "tiny", image=picture, class_index=0)
        assert job.links.self == f"{'' if strips else PREFIX}/v1/jobs/{job.id}"
        workshop.work()
        assert client.wait(job.id).state == "succeeded"
        result = client.run(SLOW_CAM.name, "tiny", image=picture, class_index=0)
        assert result.images[0].data.startswith(b"\x89PNG")
        assert job.id in [each.id for each in client.jobs()]


def test_examples_for_proxies_lead_to_one_path_and_port() -> None:
    page = (Path(__file__).parents[2] / "docs" / "proxies.md").read_text(encoding="utf-8")
    examples = re.findall(r"```(nginx|yaml)\n(.*?)```", page, re.DOTALL)
    assert [language for language, _ in examples] == ["nginx", "nginx", "yaml", "yaml"]
    for language, text in examples:
        # What nginx makes of them, `make foreign` tries.
        said = json.dumps(yaml.safe_load(text)) if language == "yaml" else text
        assert PREFIX in said
        assert "8000" in said
