"""Draws the README's pictures with the service itself, on scenes of the built-in model. `make pictures`."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from service.app import create_app
from service.demo.scenes import CLASSES, draw_scene
from service.settings import Settings

IMAGES = Path(__file__).parent / "images"
SHOWN = ("star", "ring", "heart", "stripes", "cross")
SIZE = 288
GAP = 8
SEED = 12


def main() -> None:
    """Write `scene.png`, to try the service with, and what it answers: heat maps, activations and filters."""
    generator = np.random.default_rng(SEED)
    scenes = {name: draw_scene(generator, label=CLASSES.index(name), size=SIZE).image for name in SHOWN}
    IMAGES.mkdir(exist_ok=True)
    Image.fromarray(scenes[SHOWN[0]]).save(IMAGES / "scene.png", optimize=True)
    with TestClient(create_app(Settings(_env_file=None))) as client:
        overlays = [_overlay(client, name, scene) for name, scene in scenes.items()]
        star = {"image": (IMAGES / "scene.png").read_bytes()}
        activations = _first(client.post("/v1/models/shapes/activations", files=star, data={"layer": "conv2"}))
        filters = _first(client.post("/v1/models/shapes/filters", json={"columns": 12}))
    Image.fromarray(activations).save(IMAGES / "activations.png", optimize=True)
    Image.fromarray(filters).save(IMAGES / "filters.png", optimize=True)
    sheet = np.vstack(
        [_row(list(scenes.values())), np.full((GAP, _row(overlays).shape[1], 3), 255, np.uint8), _row(overlays)]
    )
    Image.fromarray(sheet).save(IMAGES / "heat-maps.png", optimize=True)


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
