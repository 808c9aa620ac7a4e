"""The outlines of the demo's objects as polygons. Knows nothing of pixels, colours or places.

An outline is a list of contours, each `(n, 2) float64` of x, y in the unit disc, y downwards. The first contour is the
silhouette; a second one, if any, is a hole in it. Where a shape may vary, the generator chooses how.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Contour = NDArray[np.float64]
Outline = list[Contour]


def polygon(radii: NDArray[np.float64] | list[float]) -> Contour:
    """Corners at equal angles around the centre, the first one pointing up."""
    angles = np.linspace(0.0, 2.0 * np.pi, len(radii), endpoint=False)
    directions: Contour = np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    return directions * np.asarray(radii, np.float64)[:, None]


def circle(_: np.random.Generator) -> Outline:
    return [polygon([1.0] * 72)]


def square(_: np.random.Generator) -> Outline:
    return [polygon([1.0] * 4)]


def triangle(_: np.random.Generator) -> Outline:
    return [polygon([1.0] * 3)]


def star(generator: np.random.Generator) -> Outline:
    return [polygon([1.0, generator.uniform(0.42, 0.52)] * 5)]


def cross(generator: np.random.Generator) -> Outline:
    arm = generator.uniform(0.3, 0.38)
    reach = np.sqrt(1.0 - arm**2)
    quarter = np.array([[arm, -arm], [reach, -arm], [reach, arm]])
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    return [np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])]


def heart(_: np.random.Generator) -> Outline:
    t = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
    x = 16.0 * np.sin(t) ** 3
    y = -(13.0 * np.cos(t) - 5.0 * np.cos(2.0 * t) - 2.0 * np.cos(3.0 * t) - np.cos(4.0 * t))
    return [np.stack([x, y - 2.0], axis=1) / 18.0]


def drop(generator: np.random.Generator) -> Outline:
    t = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
    width = generator.uniform(0.85, 1.0)
    return [np.stack([width * np.sin(t) * np.sin(t / 2.0) ** 1.5, -np.cos(t)], axis=1)]


def ring(generator: np.random.Generator) -> Outline:
    return [polygon([1.0] * 72), polygon([generator.uniform(0.5, 0.64)] * 72)]


def blob(generator: np.random.Generator) -> Outline:
    """A smooth outline of no particular shape: what carries a texture, and what clutter is made of."""
    angles = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
    phases = generator.uniform(0.0, 2.0 * np.pi, 3)
    strengths = generator.uniform(0.02, 0.1, 3)
    radii = 1.0 + sum(s * np.cos(k * angles + p) for k, s, p in zip((2, 3, 5), strengths, phases, strict=True))
    return [polygon(radii / radii.max())]


def shard(generator: np.random.Generator) -> Outline:
    """A thin, uneven splinter with five corners."""
    corners = polygon(generator.uniform(0.6, 1.0, 5))
    return [corners * np.array([1.0, generator.uniform(0.25, 0.5)])]


OUTLINES: dict[str, Callable[[np.random.Generator], Outline]] = {
    "circle": circle,
    "square": square,
    "triangle": triangle,
    "star": star,
    "cross": cross,
    "heart": heart,
    "drop": drop,
    "ring": ring,
    "stripes": blob,
    "checkerboard": blob,
}
