"""What the page asks for: its own service, and nothing else."""

from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.gestures import heat_map, region
from tests.browser.watch import Watch


def test_nothing_leaves_the_host_when_every_view_is_opened(visit: Visit, watch: Watch, address: str):
    page = visit()
    expect(heat_map(page)).to_be_visible()
    for view in ("Methods", "Jobs", "Look"):
        page.get_by_role("link", name=view).click()
        expect(region(page, "Heat map" if view == "Look" else view)).to_be_visible()
    page.get_by_role("link", name="API").click()
    expect(page.get_by_text("/v1/models/{model}/grad-cam", exact=True).first).to_be_visible()
    elsewhere = [url for url in watch.requests if not url.startswith((f"{address}/", "data:", f"blob:{address}/"))]
    assert elsewhere == []


def test_icon_is_a_picture_when_the_tab_shows_it(visit: Visit):
    page = visit()
    drawn = page.evaluate(
        """async () => {
          const icon = new Image();
          icon.src = document.querySelector("link[rel=icon]").href;
          await icon.decode();
          return icon.width;
        }"""
    )
    assert drawn > 0
