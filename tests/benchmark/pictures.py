"""Photographs that nobody has sent before, as far as a decoder and a cache can tell."""

import io

import numpy as np
from PIL import Image

from service.demo.scenes import draw_scene


def jpeg(seed: int, side: int = 224) -> bytes:
    buffer = io.BytesIO()
    scene = draw_scene(np.random.default_rng(seed), size=side)
    Image.fromarray(scene.image).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
