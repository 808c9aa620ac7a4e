"""The documentation's viewer with a service that asks for keys: Authorize, then Try it out, under its own policy."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.conftest import PATIENCE_MS
from tests.browser.watch import Watch
from tests.contract.keyed import make_keyed, serve


def test_viewer_asks_with_the_key_when_somebody_has_given_it(chromium: Browser, tmp_path: Path) -> None:
    keyed = make_keyed(tmp_path)
    with serve(keyed.client.app) as url:
        watch = Watch(url)
        watch.permit(401)
        context = chromium.new_context()
        context.set_default_timeout(PATIENCE_MS)
        watch.attach(context)
        page = context.new_page()
        page.goto(f"{url}/docs")
        operation = page.locator("#operations-jobs-list_jobs")
        # Not `click`, which waits until the long page stands still.
        operation.locator(".opblock-summary-control").dispatch_event("click")
        operation.get_by_role("button", name="Try it out").dispatch_event("click")
        operation.get_by_role("button", name="Execute").dispatch_event("click")
        expect(operation.locator(".live-responses-table")).to_contain_text("key_missing")
        page.locator("button.authorize").first.dispatch_event("click")
        form = page.locator(".auth-container", has_text="bearer ").first
        field = form.locator("input")
        field.fill(str(keyed.keys["use"]))
        field.press("Enter")
        page.get_by_role("button", name="Close").first.dispatch_event("click")
        operation.get_by_role("button", name="Execute").dispatch_event("click")
        expect(operation.locator(".live-responses-table")).to_contain_text('"jobs"')
        assert watch.faults == []
        context.close()
