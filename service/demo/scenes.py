"""Draws the demo's scenes: one object of a known class over clutter, with the mask of its pixels. Knows no network."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.demo.canvas import Canvas, Colour, Coverage, cast_shadow, cover, mix_colour, paint, place
from service.demo.clutter import fill_background, scatter
from service.demo.outlines import OUTLINES, Contour
from service.demo.textures import TEXTURES

CLASSES: tuple[str, ...] = tuple(OUTLINES)

# Rec. 709 luma.
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it.

    image: (h, w, 3) uint8, RGB
    label: index into CLASSES
    mask: (h, w) bool, True on the object's pixels; a ring's hole counts as the ring's
    """

    image: NDArray[np.uint8]
    label: int
    mask: NDArray[np.bool_]


def draw_scene(generator: np.random.Generator, *, label: int | None = None, size: int = 96) -> Scene:
    """Draw the next scene of the generator, of a random class unless a label is given.

    Generators in the same state draw the same scene at every size, up to its grain.
    """
    chosen = int(generator.integers(len(CLASSES))) if label is None else label
    canvas = fill_background(generator, size)
    scatter(generator, canvas)
    silhouette = _add_object(generator, canvas, CLASSES[chosen])
    # Last, since it draws as many numbers as there are pixels.
    canvas += generator.normal(0.0, 0.012, canvas.shape).astype(np.float32)
    image = (np.clip(canvas, 0.0, 1.0) * 255.0).round().astype(np.uint8)
    return Scene(image=image, label=chosen, mask=silhouette >= 0.5)


def _add_object(generator: np.random.Generator, canvas: Canvas, name: str) -> Coverage:
    # A smaller patch would show too few periods of its texture.
    radius = generator.uniform(0.23 if name in TEXTURES else 0.18, 0.31)
    angle = generator.uniform(0.0, 2.0 * np.pi)
    centre = generator.uniform(radius + 0.02, 0.98 - radius, 2)
    outline = place(OUTLINES[name](generator), centre=centre, radius=radius, angle=angle)
    coverage, silhouette = cover(outline, len(canvas)), cover(outline[:1], len(canvas))
    behind = canvas[silhouette > 0.0].mean(axis=0)
    across, along = _measure_along_axes(len(canvas), centre=centre, angle=angle)
    if name in TEXTURES:
        first = _pick_contrast(generator, behind)
        second = _pick_contrast(generator, behind, first)
        share = TEXTURES[name](across, along, period=generator.uniform(0.09, 0.14))
    else:
        first = _pick_contrast(generator, behind)
        # Shaded away from the background's lightness, or the object's far side would melt into it.
        second = first + 0.35 * (np.float32((first - behind) @ _LUMA > 0.0) - first)
        share = np.clip(0.5 + across / radius / 2.0, 0.0, 1.0)
    cast_shadow(canvas, coverage, depth=0.018)
    paint(canvas, coverage, first + share[..., None].astype(np.float32) * (second - first))
    return silhouette


def _pick_contrast(generator: np.random.Generator, *others: Colour) -> Colour:
    """A vivid colour that stands out from each of the others in lightness."""
    for _ in range(64):
        colour = mix_colour(generator, hue=generator.uniform(), saturation=(0.5, 1.0), value=(0.4, 1.0))
        if all(abs(float((colour - other) @ _LUMA)) > 0.2 for other in others):
            return colour
    return np.zeros(3, np.float32)


def _measure_along_axes(size: int, *, centre: Contour, angle: float) -> tuple[Contour, Contour]:
    steps = (np.arange(size) + 0.5) / size
    x, y = steps[None, :] - centre[0], steps[:, None] - centre[1]
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
