"""Takes the pictures of the page for the README, in a real Chromium. `make screenshots`."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page

from tests.browser.chromium import open_chromium
from tests.browser.gestures import heat_map, region
from tests.server import Server

IMAGES = Path(__file__).parent / "images"
DESKTOP = (1200, 900)
PHONE = (390, 780)
PATIENCE_MS = 60_000
COLOURS = 256


@dataclass(frozen=True)
class View:
    """An address, and what must be there before the picture is taken."""

    name: str
    path: str
    wait: Callable[[Page], None]
    viewport: tuple[int, int] = DESKTOP
    scheme: Literal["light", "dark"] = "light"


def _until_explained(page: Page) -> None:
    heat_map(page).wait_for()
    region(page, "Network").get_by_role("option").first.wait_for()
    page.wait_for_load_state("networkidle")


def _until_inside(page: Page) -> None:
    _until_explained(page)
    region(page, "Channel").get_by_role("img").first.wait_for()
    region(page, "Network").evaluate("(node) => node.scrollIntoView()")


VIEWS = (
    View("page-look", "/?scene=mistaken&compare=1&class=6&class2=5", _until_explained),
    View("page-inside", "/?scene=star&layer=conv2&channel=11", _until_inside, scheme="dark"),
    View("page-phone", "/?scene=star", _until_explained, viewport=PHONE),
)


def main() -> None:
    """Write `page-*.png` anew."""
    with TemporaryDirectory() as folder, Server(Path(folder) / "log") as server, open_chromium() as browser:
        server.wait_until_ready()
        for view in VIEWS:
            _take(browser, server.url, view)
            print(f"wrote {view.name}.png")


def _take(browser: Browser, address: str, view: View) -> None:
    page = browser.new_page(
        viewport={"width": view.viewport[0], "height": view.viewport[1]},
        color_scheme=view.scheme,
        locale="en-GB",
        reduced_motion="reduce",
    )
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address + view.path)
    view.wait(page)
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        smaller = shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        smaller.save(IMAGES / f"{view.name}.png", optimize=True)
    page.close()


if __name__ == "__main__":
    main()
