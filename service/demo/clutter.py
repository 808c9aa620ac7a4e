"""What lies behind the object of a scene: a coloured background, strokes and fragments that belong to no class."""

import cv2
import numpy as np

from service.demo.canvas import Canvas, Colour, cast_shadow, cover, cover_stroke, mix_colour, paint, place
from service.demo.outlines import Contour, blob, shard


def fill_background(generator: np.random.Generator, size: int) -> Canvas:
    """A gradient between two quiet colours with soft clouds in it."""
    hue = generator.uniform()
    first = mix_colour(generator, hue=hue, saturation=(0.15, 0.6), value=(0.3, 0.95))
    second = mix_colour(generator, hue=hue + generator.uniform(-0.15, 0.15), saturation=(0.15, 0.6), value=(0.3, 0.95))
    angle = generator.uniform(0.0, 2.0 * np.pi)
    clouds = 0.35 * _draw_noise(generator, size, cells=5) + 0.15 * _draw_noise(generator, size, cells=14)
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    slope = np.cos(angle) * steps[None, :] + np.sin(angle) * steps[:, None]
    share = np.clip(0.5 + 0.8 * slope + clouds, 0.0, 1.0).astype(np.float32)[..., None]
    background: Canvas = first + share * (second - first)
    return background


def scatter(generator: np.random.Generator, canvas: Canvas) -> None:
    """Paint a random number of strokes and fragments into the canvas."""
    for _ in range(generator.integers(2, 7)):
        _add_stroke(generator, canvas, _pick_colour(generator))
    for _ in range(generator.integers(4, 13)):
        _add_fragment(generator, canvas, _pick_colour(generator))


def _add_stroke(generator: np.random.Generator, canvas: Canvas, colour: Colour) -> None:
    start, bend, end = generator.uniform(-0.1, 1.1, (3, 2))
    t = np.linspace(0.0, 1.0, 32)[:, None]
    path: Contour = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
    coverage = cover_stroke(path, len(canvas), width=generator.uniform(0.006, 0.028))
    paint(canvas, np.float32(generator.uniform(0.5, 1.0)) * coverage, colour)


def _add_fragment(generator: np.random.Generator, canvas: Canvas, colour: Colour) -> None:
    outline = blob(generator) if generator.uniform() < 0.4 else shard(generator)
    radius, angle = generator.uniform(0.015, 0.065), generator.uniform(0.0, 2.0 * np.pi)
    coverage = cover(place(outline, centre=generator.uniform(0.0, 1.0, 2), radius=radius, angle=angle), len(canvas))
    cast_shadow(canvas, coverage, depth=0.008)
    paint(canvas, coverage, colour)


def _pick_colour(generator: np.random.Generator) -> Colour:
    return mix_colour(generator, hue=generator.uniform(), saturation=(0.1, 0.9), value=(0.25, 1.0))


def _draw_noise(generator: np.random.Generator, size: int, *, cells: int) -> Canvas:
    coarse = generator.standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
