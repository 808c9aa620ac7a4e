"""Pages of other origins, which can reach the service as the user can: they read nothing and make nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MS, Visit

JOB = "/v1/models/shapes/filter-patterns"
# Everything that a page can try without being asked for more. Each says what came of it.
PAGE = """<!doctype html><meta charset=utf-8><title>foreign</title>
<iframe name=answer></iframe>
<form method=post enctype="multipart/form-data" target=answer action="TARGET/v1/models/shapes/filter-patterns">
<input name=layer value=conv3><input name=filters value=1></form>
<script>
const target = "TARGET";
const settle = (promise) => promise.then((value) => String(value), () => "refused");
const load = (name, attribute, url) => new Promise((resolve, reject) => {
  const element = Object.assign(document.createElement(name), { onload: () => resolve("loaded"), onerror: reject });
  element[attribute] = target + url;
  document.body.append(element);
});
const ask = (url, options) => settle(fetch(target + url, options).then((answer) => answer.type));
async function attack() {
  document.forms[0].submit();
  const json = { "Content-Type": "application/json" };
  return {
    post: await ask("JOB", { method: "POST", mode: "no-cors", body: '{"layer": "conv3", "filters": "2"}' }),
    json: await ask("JOB", { method: "POST", headers: json, body: '{"layer": "conv3", "filters": "3"}' }),
    remove: await ask("/v1/jobs/" + "0".repeat(32), { method: "DELETE" }),
    read: await ask("/v1/jobs"),
    picture: await settle(load("img", "src", "/ui/scenes/star.png")),
    script: await settle(load("script", "src", "/ui/elements.js")),
  };
}
</script>"""


class _Handler(BaseHTTPRequestHandler):
    page = ""

    def do_GET(self) -> None:
        body = self.page.encode() if self.path == "/" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def _serve(page: str) -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"page": page}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def stranger(chromium: Browser) -> Iterator[Page]:
    """A page that nobody watches: it is meant to fail."""
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def _jobs(address: str) -> list[str]:
    return [job["id"] for job in httpx2.get(f"{address}/v1/jobs").json()["jobs"]]


@pytest.mark.parametrize("host", ["127.0.0.1", "foreign.test"])
def test_foreign_page_reads_and_makes_nothing(stranger: Page, address: str, host: str) -> None:
    before = _jobs(address)
    with _serve(PAGE.replace("TARGET", address).replace("JOB", JOB)) as port:
        stranger.goto(f"http://{host}:{port}/")
        with stranger.expect_response(lambda answer: answer.request.is_navigation_request()) as posted:
            results = stranger.evaluate("attack()")
    assert posted.value.status == 403
    # What `no-cors` gives is opaque: nothing of it can be read. That nothing was made is told by the jobs.
    assert results.pop("post") in ("opaque", "refused")
    assert set(results.values()) == {"refused"}, results
    assert _jobs(address) == before


def test_foreign_page_cannot_show_the_page_in_itself(stranger: Page, address: str) -> None:
    with _serve(f'<!doctype html><iframe src="{address}/"></iframe>') as port:
        stranger.goto(f"http://foreign.test:{port}/")
        assert stranger.frames[1].url == "chrome-error://chromewebdata/"


def test_page_opens_when_a_foreign_one_links_to_it(stranger: Page, address: str) -> None:
    with _serve(f'<!doctype html><a href="{address}/v1/datasets">sets</a>') as port:
        stranger.goto(f"http://foreign.test:{port}/")
        stranger.locator("a").click()
        expect(stranger.locator("body")).to_contain_text("shapes")


@pytest.mark.parametrize("path", ["/", "/v1/models", "/docs"])
def test_rebound_name_is_refused(stranger: Page, address: str, path: str) -> None:
    answer = stranger.goto(address.replace("127.0.0.1", "rebound.test") + path)
    assert answer is not None
    assert answer.status == 421
    assert "CONVSCOPE_HOSTS" in answer.text()


def test_viewer_of_routes_works_under_its_policy(visit: Visit) -> None:
    page = visit("/docs")
    operation = page.locator("#operations-health-livez_livez_get")
    # Not `click`, which waits until the long page stands still.
    operation.locator(".opblock-summary-control").dispatch_event("click")
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_have_text("200")


def test_problem_is_explained_under_the_policy(visit: Visit) -> None:
    expect(visit("/problems/host_not_allowed").locator("h1")).to_have_text("Not this service's name")
