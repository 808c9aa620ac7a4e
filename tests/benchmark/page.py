"""How long a person waits on the page: from dropping a photo, or pressing a class, to the heat map on the screen."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page

from service.demo.scenes import draw_scene
from tests.benchmark.jobs.latency import spread
from tests.browser.chromium import open_chromium
from tests.browser.gestures import classes, heat_map
from tests.server import Server

PHOTO_SIDE = 1024
WARM_UP = 3
PAUSE_MS = 1000
# Counts what is painted onto heat maps, whoever paints; the same map painted again does not count.
COUNT_PAINTS = """
window.paints = 0;
let last = "";
const put = CanvasRenderingContext2D.prototype.putImageData;
CanvasRenderingContext2D.prototype.putImageData = function (image, ...all) {
  if (this.canvas.classList.contains("heat")) {
    const sample = String(Array.from({ length: 256 }, (_, n) => image.data[(n * 4001 * 4) % image.data.length]));
    if (sample !== last) window.paints += 1;
    last = sample;
  }
  return put.call(this, image, ...all);
};
"""
# Milliseconds from `act()` to the frame after the next paint, which is when the screen shows it.
UNTIL_SHOWN = """
  let before = window.paints;
  const start = performance.now();
  act();
  return new Promise((resolve) => {
    const look = () => requestAnimationFrame(() => {
      if (!isFresh()) before = window.paints;
      if (window.paints === before) look();
      else requestAnimationFrame(() => resolve(performance.now() - start));
    });
    look();
  });
"""
DROP = f"""(encoded) => {{
  const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "photo.jpg", {{ type: "image/jpeg" }}));
  const options = {{ dataTransfer: transfer, bubbles: true, cancelable: true }};
  const act = () => document.body.dispatchEvent(new DragEvent("drop", options));
  // Until the photo itself has changed, whatever is painted belongs to the old one.
  const photo = document.querySelector("#heatmap img");
  const old = photo.src;
  const isFresh = () => photo.src !== old;
  {UNTIL_SHOWN}
}}"""
PRESS = f"""(button) => {{
  const act = () => button.click();
  const isFresh = () => true;
  {UNTIL_SHOWN}
}}"""


def measure_page(repetitions: int) -> dict[str, Any]:
    """Milliseconds in Chromium on a warm service, with the built-in model and a new photo each time."""
    dropped, pressed = [], []
    with _open_page() as page:
        for number in range(WARM_UP + repetitions):
            first, second = _look_at_new_photo(page, number)
            if number >= WARM_UP:
                dropped.append(first)
                pressed.append(second)
        version = page.context.browser.version if page.context.browser else ""
    return {
        "chromium": version,
        "repetitions": repetitions,
        "photo_side": PHOTO_SIDE,
        "photo_to_heat_map_ms": spread(dropped),
        "class_to_heat_map_ms": spread(pressed),
    }


def _look_at_new_photo(page: Page, seed: int) -> tuple[float, float]:
    first = page.evaluate(DROP, base64.b64encode(_photo(seed)).decode("ascii"))
    # Nobody presses sooner; by then the layers that follow the heat map are drawn as well.
    page.wait_for_timeout(PAUSE_MS)
    second = classes(page).nth(1).evaluate(PRESS)
    return first, second


@contextmanager
def _open_page() -> Iterator[Page]:
    with (
        TemporaryDirectory() as folder,
        Server(Path(folder) / "log") as server,
        open_chromium() as browser,
    ):
        server.wait_until_ready()
        page = browser.new_page(locale="en-GB")
        page.add_init_script(COUNT_PAINTS)
        page.goto(server.url)
        heat_map(page).wait_for()
        yield page


def _photo(seed: int) -> bytes:
    buffer = io.BytesIO()
    scene = draw_scene(np.random.default_rng(seed), size=PHOTO_SIDE)
    Image.fromarray(scene.image).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
