"""Draws the README's pictures with the service itself, on scenes of the built-in model. `make pictures`."""

import base64
import io
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from service.app import create_app
from service.demo.glyphs import GLYPHS, draw_glyph
from service.demo.scenes import CLASSES, draw_scene
from service.settings import Settings

IMAGES = Path(__file__).parent / "images"
TEST_DATA = Path(os.environ.get("CONVSCOPE_TEST_DATA", "../shared"))
VGG16 = TEST_DATA / "models" / "vgg16_blocks1_2_imagenet.keras"
SHOWN = ("star", "ring", "heart", "stripes", "cross")
SIZE = 288
GAP = 8
SEED = 12


def main() -> None:
    """Write `scene.png` and `glyph.png`, to try the service with, and what it answers to the first."""
    generator = np.random.default_rng(SEED)
    scenes = {name: draw_scene(generator, label=CLASSES.index(name), size=SIZE).image for name in SHOWN}
    IMAGES.mkdir(exist_ok=True)
    Image.fromarray(scenes[SHOWN[0]]).save(IMAGES / "scene.png", optimize=True)
    Image.fromarray(draw_glyph(np.random.default_rng(SEED), GLYPHS.index("A"))).save(IMAGES / "glyph.png")
    with (
        TemporaryDirectory() as folder,
        TestClient(create_app(_settings(Path(folder))), base_url="http://127.0.0.1") as client,
    ):
        overlays = [_overlay(client, name, scene) for name, scene in scenes.items()]
        star = {"image": (IMAGES / "scene.png").read_bytes()}
        activations = _first(client.post("/v1/models/shapes/activations", files=star, data={"layer": "conv2"}))
        filters = _first(client.post("/v1/models/shapes/filters", json={"columns": 12}))
        _save_grid(client, "patterns-shapes", "shapes", {"layer": "conv3", "filters": "0-31", "size": 96})
        if VGG16.exists():
            _save_grid(client, "patterns", "vgg16-blocks", {"layer": "block2_conv2", "filters": "0-63", "size": 80})
    Image.fromarray(activations).save(IMAGES / "activations.png", optimize=True)
    Image.fromarray(filters).save(IMAGES / "filters.png", optimize=True)
    sheet = np.vstack(
        [_row(list(scenes.values())), np.full((GAP, _row(overlays).shape[1], 3), 255, np.uint8), _row(overlays)]
    )
    Image.fromarray(sheet).save(IMAGES / "heat-maps.png", optimize=True)


def _settings(folder: Path) -> Settings:
    """Records and models in `folder`: the real VGG16's first blocks, where the test data has them."""
    model = folder / "models" / "vgg16-blocks"
    if VGG16.exists():
        (model / "1").mkdir(parents=True)
        (model / "1" / "model.keras").symlink_to(VGG16.resolve())
        (model / "model.toml").write_text('preprocessing = "caffe"\n')
    return Settings(_env_file=None, models=folder / "models", data=folder / "data")


def _save_grid(client: TestClient, name: str, model: str, params: dict[str, Any]) -> None:
    """The grid of a filter-patterns job."""
    route = f"/v1/models/{model}/filter-patterns"
    while True:
        response = client.post(route, json=params, headers={"Prefer": "wait=60", "Accept": "image/png"})
        response.raise_for_status()
        if response.headers["content-type"] == "image/png":
            (IMAGES / f"{name}.png").write_bytes(response.content)
            return
        if response.json()["state"] not in ("queued", "running"):
            raise RuntimeError(response.text)


def _overlay(client: TestClient, name: str, scene: NDArray[np.uint8]) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(scene).save(buffer, "PNG")
    response = client.post("/v1/models/shapes/grad-cam", files={"image": buffer.getvalue()})
    best = response.raise_for_status().json()["predictions"][0]
    print(f"{name}: {best['label']} {best['score']:.2f}")
    return _first(response)


def _first(response: Any) -> NDArray[np.uint8]:
    png = base64.b64decode(response.raise_for_status().json()["images"][0]["data"])
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _row(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    gap = np.full((SIZE, GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)][1:]
    return np.hstack(parts)


if __name__ == "__main__":
    main()
