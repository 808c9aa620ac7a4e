"""A map of what a network saw, brought to the picture that it was shown. The opposite of what `framing` did."""

from typing import Final

import cv2
import numpy as np

from service.engine.arrays import Array
from service.engine.images.framing import Framing

# The longer side of a map over a whole picture that is not drawn.
_MAX_SIDE: Final = 256


def enlarge(values: Array, size: tuple[int, ...]) -> Array:
    """A map (h, w) at another size (h, w), bilinearly with half-pixel centres: as it lies over its picture."""
    height, width = size
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR))


def lay_over_taken(values: Array, framing: Framing, size: tuple[int, int]) -> Array:
    """A map (h, w) of the whole input, over the part of the picture that was taken, at any size (h, w).

    What of the map lies over the border is cut away.
    """
    if framing.fills_input:
        return enlarge(values, size)
    down, across = (
        _weights(values.shape[axis], size[axis], framing.place[axis::2], framing.input_size[axis]) for axis in (0, 1)
    )
    return np.asarray(down @ values @ across.T, np.float32)


def lay_over_picture(values: Array, framing: Framing) -> Array:
    """A map (h, w) over the whole picture, zero where the network saw nothing of it; at most 256 pixels long."""
    if framing.is_whole:
        return values
    factor = min(1.0, _MAX_SIDE / max(framing.size))
    height, width = (max(1, round(side * factor)) for side in framing.size)
    top, left, bottom, right = (round(edge * factor) for edge in framing.taken)
    bottom, right = max(bottom, top + 1), max(right, left + 1)
    over = np.zeros((height, width), np.float32)
    part = over[top:bottom, left:right]
    part[...] = lay_over_taken(values, framing, (part.shape[0], part.shape[1]))
    return over


def share_in_border(values: Array, framing: Framing) -> float:
    """How much of the heat lies over the black border, 0…1; 0 where there is no heat at all."""
    top, left, bottom, right = framing.place
    heat = np.maximum(enlarge(values, framing.input_size), 0).astype(np.float64)
    total = float(heat.sum())
    return 1 - float(heat[top:bottom, left:right].sum()) / total if total > 0 else 0.0


def _weights(old: int, new: int, place: tuple[int, ...], side: int) -> Array:
    """(new, old): how much of each of the map's places goes into each pixel between both edges of `place`."""
    start, end = place
    centres = (start + (np.arange(new) + 0.5) / new * (end - start)) / side * old - 0.5
    distances = np.abs(np.clip(centres, 0, old - 1)[:, None] - np.arange(old)[None, :])
    return np.asarray(np.maximum(0, 1 - distances), np.float32)
