"""The service below a path of a host, behind a real nginx with TLS, seen by Chromium, programs and foreign pages."""

import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.chromium import open_chromium
from tests.browser.conftest import DESKTOP
from tests.browser.gestures import SCENE, choose_photo, copied, heat_map, region
from tests.browser.test_foreign import JOB, PAGE, _serve
from tests.browser.test_sign_in import sign_in
from tests.browser.watch import Watch
from tests.event_stream import Stream
from tests.foreign.nginx import NAME, PREFIX, Proxied, proxied

PATIENCE_MS = 60_000
CLIPBOARD = ["clipboard-read", "clipboard-write"]
PATTERNS = "/?view=methods&method=filter-patterns"


@pytest.fixture(scope="module", params=["taken off", "kept"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    with proxied(tmp_path_factory.mktemp("proxied"), request.param) as found:
        yield found


@pytest.fixture
def context() -> Iterator[BrowserContext]:
    with open_chromium() as browser:
        yield _context(browser)


def _context(browser: Browser) -> BrowserContext:
    options: dict[str, Any] = {"viewport": DESKTOP, "locale": "en-GB", "permissions": CLIPBOARD}
    context = browser.new_context(ignore_https_errors=True, **options)
    context.set_default_timeout(PATIENCE_MS)
    return context


@pytest.fixture
def watch(service: Proxied, context: BrowserContext) -> Iterator[Watch]:
    """Whatever is asked for beside the prefix is a fault."""
    watching = Watch(service.url)
    watching.attach(context)
    yield watching
    assert watching.faults == []


@pytest.fixture
def program(service: Proxied) -> Iterator[httpx2.Client]:
    """Alice's."""
    headers = {"Authorization": f"Bearer {service.keys['alice']}"}
    trust = ssl.create_default_context(cafile=service.certificate)
    with httpx2.Client(base_url=service.local_url, headers=headers, verify=trust, timeout=60) as client:
        yield client


def _open(context: BrowserContext, service: Proxied, path: str = "/", owner: str = "alice") -> Page:
    page = context.new_page()
    page.goto(service.url + path)
    sign_in(page, service.keys[owner])
    return page


def _draw(page: Page, **fields: str) -> Locator:
    """Send the form of filter patterns; the job's panel."""
    form = region(page, "Methods")
    for name, value in ({"layer": "conv3", "size": "64"} | fields).items():
        form.get_by_label(name, exact=True).fill(value)
    form.get_by_role("button", name="Run", exact=True).click()
    return page.get_by_role("group", name="Job", exact=True)


def test_page_works_from_signing_in_to_signing_out(service: Proxied, context: BrowserContext, watch: Watch) -> None:
    page = _open(context, service, "/?scene=ring")
    expect(heat_map(page, "ring")).to_be_visible(timeout=PATIENCE_MS)
    assert page.url.startswith(f"{service.url}/?")
    (cookie,) = context.cookies()
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
    assert cookie["path"] == PREFIX
    page.goto(service.url + PATTERNS)
    job = _draw(page, filters="0-15", steps="150", seed=str(time.time_ns() % 10_000))
    # A picture is there while others are still being made: nothing keeps the stream of events on its way.
    expect(job.get_by_role("img", name="filter-0")).to_be_visible(timeout=PATIENCE_MS)
    assert "Running" in (job.text_content() or "")
    expect(job.get_by_role("img", name="filter-15")).to_be_visible(timeout=PATIENCE_MS)
    expect(job).to_contain_text("Done", timeout=PATIENCE_MS)
    assert _broken(job) == []
    streams = [url for url in watch.requests if url.endswith("/events")]
    assert streams == [url for url in streams if url.startswith(f"{service.url}/v1/jobs/")] != []
    page.get_by_role("button", name="Sign out").click()
    expect(region(page, "Sign in")).to_be_visible()
    assert context.cookies() == []


def test_nothing_is_lost_when_the_key_is_revoked_while_a_job_runs(
    service: Proxied, context: BrowserContext, watch: Watch
) -> None:
    page = _open(context, service, PATTERNS)
    choose_photo(page, SCENE)
    job = _draw(page, filters="0-23", steps="300", seed=str(time.time_ns() % 10_000))
    expect(job.get_by_role("img", name="filter-0")).to_be_visible(timeout=PATIENCE_MS)
    watch.permit(401)
    before = service.revoke("alice")
    # The stream ends with the key, and the page says why.
    expect(region(page, "Sign in")).to_contain_text("Sign in again to go on", timeout=PATIENCE_MS)
    expect(job.get_by_role("img", name="filter-0")).to_be_visible()
    service.file.write_text(before, encoding="ascii")
    page.wait_for_timeout(2500)
    sign_in(page, service.keys["alice"])
    expect(job).to_contain_text("Done", timeout=2 * PATIENCE_MS)
    expect(job.get_by_role("img", name="filter-23")).to_be_visible()
    expect(region(page, "Methods").get_by_label("filters", exact=True)).to_have_value("0-23")
    expect(region(page, "Photo")).to_contain_text(SCENE.name)
    assert _broken(job) == []


def test_viewer_of_routes_tries_a_call(service: Proxied, context: BrowserContext, watch: Watch) -> None:
    _open(context, service)
    page = context.new_page()
    page.goto(f"{service.url}/docs")
    operation = page.locator("[id$=list_datasets_v1_datasets_get], [id$=-list_datasets]").first
    operation.locator(".opblock-summary-control").dispatch_event("click")
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_have_text(
        "200", timeout=PATIENCE_MS
    )
    assert f"{service.url}/v1/datasets" in watch.requests


@pytest.mark.usefixtures("watch")
def test_copied_program_draws_patterns(service: Proxied, context: BrowserContext, tmp_path: Path) -> None:
    page = _open(context, service, PATTERNS)
    form = region(page, "Methods")
    for name, value in {"layer": "conv3", "filters": "1", "size": "64", "steps": "5"}.items():
        form.get_by_label(name, exact=True).fill(value)
    form.get_by_role("button", name="Copy as Python").click()
    text = copied(page)
    assert f'SERVICE = "{service.url}"' in text
    _run(service, [sys.executable, "-c", text.replace(NAME, "localhost")], tmp_path)
    assert (tmp_path / "filter-1.png").read_bytes().startswith(b"\x89PNG")


def test_links_lead_to_where_the_client_is(program: httpx2.Client) -> None:
    answer = program.post(
        "/v1/models/shapes/filter-patterns", json={"layer": "conv3", "filters": "2-5", "steps": 5, "size": 64}
    )
    job = answer.json()
    route = f"{PREFIX}/v1/jobs/{job['id']}"
    assert answer.headers["location"] == job["links"]["self"] == route
    with program.stream("GET", job["links"]["events"].removeprefix(PREFIX)) as response:
        events = list(Stream(response))
    assert events[-1].data["state"] == "succeeded"
    assert events[-1].data["links"]["self"] == route
    pictures = [event.data["href"] for event in events if event.name == "image"]
    assert pictures
    assert all(program.get(href.removeprefix(PREFIX)).content.startswith(b"\x89PNG") for href in pictures)
    assert all(href.startswith(f"{route}/images/") for href in pictures)
    assert program.get("/openapi.json").json()["servers"] == [{"url": PREFIX}]
    assert program.get("/v1/models/none").json()["type"] == f"{PREFIX}/problems/model_not_found"
    assert program.get("/livez").json() == program.get("/").json() == {"status": "alive"}


@pytest.mark.parametrize("path", ["", "/docs/"])
def test_redirects_stay_below_the_path(service: Proxied, program: httpx2.Client, path: str) -> None:
    answer = program.get(f"{service.local_url}{path}", follow_redirects=False)
    to = answer.headers["location"].removeprefix(service.local_url.removesuffix(PREFIX))
    assert to == PREFIX + (path.rstrip("/") or "/")


def test_terminal_and_client_work_below_the_path(service: Proxied, tmp_path: Path) -> None:
    patterns = ["filter-patterns", "--layer", "conv3", "--filters", "0,1", "--steps", "5", "--size", "64"]
    place = ["--model", "shapes", "--server", service.local_url, "-o", str(tmp_path)]
    terminal = [sys.executable, "-m", "service.cli"]
    _run(service, [*terminal, "grad-cam", str(SCENE), *place], Path.cwd())
    _run(service, [*terminal, *patterns, *place], Path.cwd())
    assert len(list(tmp_path.rglob("*.png"))) >= 4
    listing = "import sys; from service.client import Client; print([job.method for job in Client(sys.argv[1]).jobs()])"
    assert "filter-patterns" in _run(service, [sys.executable, "-c", listing, service.local_url], Path.cwd())


@pytest.mark.parametrize("host", ["foreign.test", f"evil.{NAME}"])
def test_foreign_page_reads_and_makes_nothing_while_one_is_signed_in(
    service: Proxied, context: BrowserContext, program: httpx2.Client, host: str
) -> None:
    _open(context, service)
    before = [job["id"] for job in program.get("/v1/jobs").json()["jobs"]]
    page = context.new_page()
    with _serve(PAGE.replace("TARGET", service.url).replace("JOB", JOB)) as port:
        page.goto(f"http://{host}:{port}/")
        with page.expect_response(lambda answer: answer.request.is_navigation_request()) as posted:
            results = page.evaluate("attack()")
    assert posted.value.status in (401, 403)
    assert results.pop("post") in ("opaque", "refused")
    assert set(results.values()) == {"refused"}, results
    assert [job["id"] for job in program.get("/v1/jobs").json()["jobs"]] == before


@pytest.mark.parametrize("path", ["/", "/v1/models", "/docs"])
def test_rebound_name_is_refused(service: Proxied, context: BrowserContext, path: str) -> None:
    answer = context.new_page().goto(service.url.replace(NAME, "rebound.test") + path)
    assert answer is not None
    assert answer.status == 421
    assert "CONVSCOPE_HOSTS" in answer.text()


def _broken(place: Locator) -> list[str]:
    broken: list[str] = place.get_by_role("img").evaluate_all(
        "(nodes) => nodes.filter((node) => node.complete && !node.naturalWidth).map((node) => node.src)"
    )
    return broken


def _run(service: Proxied, command: list[str], folder: Path) -> str:
    """A program that has Alice's key and trusts the certificate; what it wrote."""
    environment = os.environ | {"CONVSCOPE_KEY": service.keys["alice"], "SSL_CERT_FILE": str(service.certificate)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search(r"Traceback|Error", done.stderr), done.stderr
    return done.stdout
