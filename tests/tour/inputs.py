"""What the tour sends: a scene, a glyph, and datasets of eight, by arithmetic, so that they are always the same."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SCENE_SIZE = 120
GLYPH_SIZE = 28
# Folders of the datasets: two classes of `shapes`, and two of the glyphs that `glyphs` has learned.
SCENE_LABELS = ("star", "ring")
GLYPH_LABELS = ("A", "B")
_DATE = (2020, 1, 1, 0, 0, 0)

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Inputs:
    """The files that questions about one model send."""

    image: Path
    images: Path


def write_inputs(folder: Path, *, channels: int) -> Inputs:
    """A picture and a ZIP of eight for models with so many channels."""
    kind = "glyph" if channels == 1 else "scene"
    image, images = folder / f"{kind}.png", folder / f"{kind}s.zip"
    image.write_bytes(_encode(_glyph(0, 0) if channels == 1 else _scene(0, 0)[0]))
    with zipfile.ZipFile(images, "w") as archive:
        for name, data in _glyph_files() if channels == 1 else _scene_files():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    return Inputs(image, images)


def _scene_files() -> Iterator[tuple[str, bytes]]:
    """Four scenes of each label, and masks that say where the object lies in the first two of each."""
    for label, folder in enumerate(SCENE_LABELS):
        for number in range(4):
            scene, mask = _scene(label, number)
            yield f"{folder}/{number}.png", _encode(scene)
            if number < 2:
                yield f"masks/{folder}/{number}.png", _encode(mask)


def _glyph_files() -> Iterator[tuple[str, bytes]]:
    for label, folder in enumerate(GLYPH_LABELS):
        for number in range(4):
            yield f"{folder}/{number}.png", _encode(_glyph(label, number))


@cache
def _scene(label: int, number: int) -> tuple[Bytes, Bytes]:
    """A star or a ring over a ramp of colours and noise, and its mask; each number has a place of its own."""
    generator = np.random.default_rng(100 * label + number)
    rows, columns = np.mgrid[:SCENE_SIZE, :SCENE_SIZE].astype(np.float64)
    down, right = rows - 50 - 6 * number, columns - 66 + 5 * number
    radius, angle = np.hypot(down, right), np.arctan2(down, right)
    inside = radius < 26 + 12 * np.cos(5 * angle) if label == 0 else abs(radius - 26) < 8
    ramp = np.stack([rows, columns, SCENE_SIZE - rows], axis=-1) / SCENE_SIZE
    picture = 40 + 120 * ramp + generator.integers(0, 30, ramp.shape)
    picture[inside] = (240, 200 - 30 * number, 40 + 20 * number)
    return picture.astype(np.uint8), np.where(inside, 255, 0).astype(np.uint8)


@cache
def _glyph(label: int, number: int) -> Bytes:
    """White strokes on black, an A or a B, a pixel further to the right with each number."""
    rows, columns = np.mgrid[:GLYPH_SIZE, :GLYPH_SIZE].astype(np.float64)
    right = columns - 12 - number
    if label == 0:
        ink = (abs(abs(right) - (rows - 4) / 2.6) < 1.5) | ((abs(rows - 17) < 1.5) & (abs(right) < 5))
    else:
        bows = abs(np.hypot((rows - 14 + 5 * np.sign(14 - rows)) / 1.1, right + 2) - 5) < 1.5
        ink = (abs(right + 4) < 1.5) | (bows & (right > -4))
    return np.where(ink & (rows > 3) & (rows < 25), 255, 0).astype(np.uint8)


def _encode(picture: Bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()
