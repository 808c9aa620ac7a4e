"""The built-in dataset `glyphs`: glyphs that the model of that name has not seen, a folder for each letter or digit."""

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from service.demo.glyphs import GLYPHS, draw_glyph

# Training and its measure draw from other seeds.
_SEED: Final = 20_000
_OF_EACH: Final = 30


def draw_glyph_files() -> Iterator[tuple[str, bytes]]:
    """Names and PNG files, the same every time."""
    generator = np.random.default_rng(_SEED)
    for label, name in enumerate(GLYPHS):
        for number in range(_OF_EACH):
            yield f"{name}/{number}.png", cv2.imencode(".png", draw_glyph(generator, label))[1].tobytes()
