"""The page's files as the service sends them; what they do is tested in a real browser."""

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.contract.conftest import assert_problem

UI = Path(__file__).parents[2] / "service" / "ui"
FILES = sorted(path.relative_to(UI).as_posix() for path in UI.rglob("*") if path.is_file())
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": "application/json"}
SCENES = ("star", "mistaken")


@pytest.mark.parametrize("file", FILES)
def test_file_has_its_type_and_policy_when_served(client: TestClient, file: str):
    response = client.get(f"/ui/{file}")
    assert response.status_code == 200
    assert response.content == (UI / file).read_bytes()
    assert response.headers["content-type"].startswith(TYPES.get(Path(file).suffix, "image/svg+xml"))
    assert_safe(response.headers["content-security-policy"])
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/ui/app.js", "/ui/scenes/star.png"])
def test_answer_is_304_when_the_browser_has_the_file(client: TestClient, path: str):
    first = client.get(path, headers={"Accept": "text/html"})
    assert first.headers["cache-control"] == "no-cache"
    again = client.get(path, headers={"Accept": "text/html", "If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    "accept", ["text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html, */*", "*/*, TEXT/HTML;q=1.0"]
)
def test_page_is_html_when_a_browser_asks(client: TestClient, accept: str):
    response = client.get("/", headers={"Accept": accept})
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["vary"] == "Accept"
    assert_safe(response.headers["content-security-policy"])


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "text/*", "application/json", "image/png", "text/html;q=0", "application/json, text/html;q=0.5"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_service_says_that_it_is_alive_when_html_is_not_asked_for_by_name(client: TestClient, method: str, accept: str):
    response = client.request(method, "/", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.json() == {"status": "alive"} if method == "GET" else not response.content
    assert (response.headers["content-type"], response.headers["vary"]) == ("application/json", "Accept")


def test_nothing_is_asked_of_other_hosts_when_the_files_are_read():
    allowed = {"http://www.w3.org/2000/svg"}
    for file in FILES:
        text = (UI / file).read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\s\"'`<>)]+", text)) <= allowed, file
        assert "@import" not in text
        assert not re.search(r"[\"'(]//\w", text), file


def test_html_has_no_inline_code_when_the_policy_forbids_it():
    html = (UI / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
    assert all(" src=" in tag for tag in re.findall(r"<script[^>]*>", html))


@pytest.mark.parametrize("name", SCENES)
def test_scene_is_a_picture_when_its_name_is_listed(client: TestClient, name: str):
    assert name in client.get("/ui/facts.json").json()["scenes"]
    response = client.get(f"/ui/scenes/{name}.png")
    assert response.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(response.content)) as image:
        assert image.size == (384, 384)


@pytest.mark.parametrize("path", ["/ui/scenes/elephant.png", "/ui/nothing.js", "/ui/../py.typed", "/ui/..%2fpy.typed"])
def test_answer_is_a_problem_when_there_is_no_such_file(client: TestClient, path: str):
    assert_problem(client.get(path), 404, "not_found")


def test_scene_is_mistaken_when_it_is_said_to_be(client: TestClient):
    picture = client.get("/ui/scenes/mistaken.png").content
    answer = client.post("/v1/models/shapes/predictions", files={"image": picture}).json()
    assert answer["predictions"][0]["label"] == "drop"


def test_scenes_are_told_rightly_when_they_are_named_after_their_class(client: TestClient):
    for name in set(client.get("/ui/facts.json").json()["scenes"]) - {"mistaken"}:
        picture = client.get(f"/ui/scenes/{name}.png").content
        answer = client.post("/v1/models/shapes/predictions", files={"image": picture}).json()
        assert answer["predictions"][0]["label"] == name


def test_colour_tables_are_those_of_the_api_when_the_page_colours(client: TestClient, picture: bytes):
    for name, table in client.get("/ui/facts.json").json()["colormaps"].items():
        answer = client.post("/v1/models/tiny/grad-cam", files={"image": picture}, data={"colormap": name}).json()
        heatmap = next(image for image in answer["images"] if image["name"] == "heatmap")
        with Image.open(io.BytesIO(base64.b64decode(heatmap["data"]))) as image:
            assert bytes(image.getpalette() or []) == base64.b64decode(table), name


def assert_safe(policy: str) -> None:
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy
