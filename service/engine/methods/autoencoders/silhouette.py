"""How well groups of points lie apart: the silhouette of Rousseeuw 1987, https://doi.org/10.1016/0377-0427(87)90125-7."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def measure_silhouette(points: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]) -> float:
    """The mean over all points: 1 where groups are far apart, 0 where they touch, below 0 where they are mixed.

    points: (n, dimensions); labels: (n,) of 0 to k - 1, at least two points of each.
    """
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    members = np.eye(labels.max() + 1)[labels]
    own = members > 0.0
    sums, counts = distances @ members, members.sum(axis=0)
    # A point is not its own neighbour.
    within = sums[own] / (counts[labels] - 1.0)
    nearest = np.where(own, np.inf, sums / counts).min(axis=1)
    return float(np.mean((nearest - within) / np.maximum(nearest, within)))
