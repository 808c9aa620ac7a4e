"""What people do on the page, and what they see, by the names that screen readers say."""

import base64
import re
from pathlib import Path

from playwright.sync_api import Locator, Page

SCENE = Path(__file__).parents[2] / "docs" / "images" / "scene.png"
DROP = """([name, encoded]) => {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""


def region(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def choose_photo(page: Page, photo: Path) -> None:
    """From the disk, as the file dialogue would."""
    page.get_by_label("Photo file").set_input_files(photo)


def drop_photo(page: Page, photo: Path) -> None:
    """From the desktop, somewhere onto the page."""
    page.evaluate(DROP, [photo.name, base64.b64encode(photo.read_bytes()).decode("ascii")])


def classes(page: Page) -> Locator:
    """The buttons of the predictions, best class first."""
    return region(page, "Predictions").get_by_role("button")


def heat_map(page: Page, label: str = "") -> Locator:
    """The first map, once it is one of this class."""
    return region(page, "Heat map").get_by_role("img", name=re.compile(f"^Heat map of {label}")).first


def pixels(canvas: Locator) -> bytes:
    """What is painted on a canvas, as PNG."""
    return base64.b64decode(canvas.evaluate("(node) => node.toDataURL()").partition(",")[2])


def copied(page: Page) -> str:
    """The text on the clipboard, for which the context needs the permission `clipboard-read`."""
    page.get_by_text("Copied", exact=True).wait_for()
    text = page.evaluate("() => navigator.clipboard.readText()")
    assert isinstance(text, str)
    return text


def tab_to(page: Page, target: Locator, presses: int = 60) -> None:
    """Press Tab until the target has the focus, and see to it that the focus shows."""
    for _ in range(presses):
        page.keyboard.press("Tab")
        if target.evaluate("(node) => node === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached by {presses} tabs")
