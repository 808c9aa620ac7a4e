"""One browser for the package; watched pages of the shared service for each test."""

from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import open_chromium
from tests.browser.watch import Watch

# Guards against hanging.
PATIENCE_MS = 20_000
DESKTOP = {"width": 1280, "height": 800}


class Visit(Protocol):
    """Open a path of the service. `options` are those of Playwright's `new_context`: viewport, locale …"""

    def __call__(self, path: str = "/", **options: Any) -> Page: ...


# Of the package and not of the session: while Playwright runs, no other test could start an event loop.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with open_chromium() as browser:
        yield browser


@pytest.fixture
def watch(address: str) -> Iterator[Watch]:
    """What the test's pages have done; a fault fails the test."""
    watching = Watch(address)
    yield watching
    assert watching.faults == []


@pytest.fixture
def visit(chromium: Browser, address: str, watch: Watch) -> Iterator[Visit]:
    """Pages, each in a context of its own: nothing is remembered from another."""
    contexts = []

    def open_path(path: str = "/", **options: Any) -> Page:
        context = chromium.new_context(**({"viewport": DESKTOP, "locale": "en-GB"} | options))
        context.set_default_timeout(PATIENCE_MS)
        watch.attach(context)
        contexts.append(context)
        page = context.new_page()
        page.goto(address + path)
        return page

    yield open_path
    for context in contexts:
        context.close()
