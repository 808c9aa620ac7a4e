"""How alike two answers of a method are: Pearson's correlation of what they are, or of how they are drawn."""

import cv2
import numpy as np
from numpy.typing import NDArray

from service.engine.arrays import Pixels
from service.engine.visuals import Heatmap, Pictures, ScoreList, Sheets, Visual


def correlate(first: Visual, second: Visual) -> float | None:
    """Of maps, scores, or the mean over tiles or pictures; None where one of them is constant, or sizes differ."""
    pairs = list(zip(_arrays(first), _arrays(second), strict=False))
    found = [value for one, other in pairs if (value := _pearson(one, other)) is not None]
    return float(np.mean(found)) if found else None


def correlate_pictures(first: Pixels, second: Pixels) -> float | None:
    """Of two drawn pictures of one size, in gray."""
    return _pearson(_gray(first), _gray(second))


def _arrays(visual: Visual) -> list[NDArray[np.float32]]:
    if isinstance(visual, Heatmap):
        return [visual.values]
    if isinstance(visual, Sheets):
        return [tile for tiles in visual.tiles for tile in tiles.values]
    if isinstance(visual, Pictures):
        return [picture.values for picture in visual.pictures]
    return [visual.scores.values] if isinstance(visual, ScoreList) else []


def _pearson(first: NDArray[np.float32], second: NDArray[np.float32]) -> float | None:
    if first.shape != second.shape or first.size < 2:
        return None
    one, other = (values.astype(np.float64).ravel() - values.mean(dtype=np.float64) for values in (first, second))
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / norms) if norms > 0 else None


def _gray(pixels: Pixels) -> NDArray[np.float32]:
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
    return np.asarray(gray, np.float32)
