"""The built-in dataset `shapes`: scenes that the model of that name has not seen, a folder each class, and masks."""

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from service.demo.scenes import CLASSES, draw_scene

# Training and its measure draw from other seeds.
_SEED: Final = 20_000
_OF_EACH: Final = 8


def draw_scenes() -> Iterator[tuple[str, bytes]]:
    """Names and PNG files, the same every time."""
    generator = np.random.default_rng(_SEED)
    for label, name in enumerate(CLASSES):
        for number in range(_OF_EACH):
            scene = draw_scene(generator, label=label)
            yield f"{name}/{number}.png", _encode(scene.image[..., ::-1])
            yield f"masks/{name}/{number}.png", _encode(scene.mask.astype(np.uint8) * 255)


def _encode(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()
