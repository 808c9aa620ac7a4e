"""Maps over pictures of any size, in relative coordinates: resampled, made small, and averaged. Plain NumPy."""

from typing import Final

import numpy as np

from service.engine.arrays import Array

# A map is kept for each picture of a dataset; means are smooth, and need no more.
MAX_SIDE: Final = 32
# Below this a map has no evidence in it.
_EPSILON: Final = 1e-12


class MeanMap:
    """The mean of maps, each divided by its own maximum; one without evidence counts as zeros."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._sum = np.zeros(shape, np.float64)
        self._count = 0

    def add(self, scaled: Array) -> None:
        """A map of this shape that was divided by its maximum, before it was resampled, or all of it 0."""
        self._sum += scaled
        self._count += 1

    @property
    def values(self) -> Array:
        return np.asarray(self._sum / max(self._count, 1), np.float32)


def divide_by_maximum(values: Array) -> Array:
    """A map in 0…1; all zeros where there is no evidence in it."""
    maximum = float(values.max())
    return values / np.float32(maximum) if maximum > _EPSILON else np.zeros_like(values)


def resample(values: Array, shape: tuple[int, int]) -> Array:
    """A map (h, w) at another shape, bilinearly with half-pixel centres; where it gets smaller, all of it counts."""
    if values.shape == shape:
        return values
    down, across = (_weights(old, new) for old, new in zip(values.shape, shape, strict=True))
    return np.asarray(down @ values @ across.T, np.float32)


def shrink(values: Array) -> Array:
    """A map of the same aspect with no side longer than MAX_SIDE."""
    factor = min(1.0, MAX_SIDE / max(values.shape))
    height, width = (max(1, round(side * factor)) for side in values.shape)
    return resample(values, (height, width))


def _weights(old: int, new: int) -> Array:
    """(new, old): how much of each old place goes into each new one."""
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale
    distances = np.abs(centres[:, None] - (np.arange(old) + 0.5)[None, :])
    weights = np.maximum(0, 1 - distances / max(scale, 1.0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
