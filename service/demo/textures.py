"""The demo's textures: which share of its second colour each pixel of a patch has. Knows no outlines and no colours."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]


class Texture(Protocol):
    def __call__(self, across: Plane, along: Plane, /, *, period: float) -> Plane:
        """The share, (h, w) in [0, 1], where the pixels lie at `across` and `along`; lengths in shares of the side."""


def draw_stripes(across: Plane, _along: Plane, /, *, period: float) -> Plane:
    return (1.0 + _alternate(across, period)) / 2.0


def draw_checkerboard(across: Plane, along: Plane, /, *, period: float) -> Plane:
    return (1.0 + _alternate(across, 1.4 * period) * _alternate(along, 1.4 * period)) / 2.0


TEXTURES: dict[str, Texture] = {"stripes": draw_stripes, "checkerboard": draw_checkerboard}


def _alternate(position: Plane, period: float) -> Plane:
    """Bands of -1 and 1 whose edges are one pixel wide: the signed distance to the nearest edge, clipped."""
    distance = (np.abs(position / period % 1.0 - 0.5) - 0.25) * period
    return np.clip(2.0 * len(position) * distance, -1.0, 1.0)
