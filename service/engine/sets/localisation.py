"""How much of a heat map lies in the object of the picture.

`energy` is the share of the heat there (Wang et al. 2020, https://arxiv.org/abs/1910.01279), `pointing` whether the
hottest pixel is (Zhang et al. 2016, https://arxiv.org/abs/1608.00507), `area` the share of the picture that the object
takes: what heat spread evenly would have for its energy.
"""

from typing import Any

import numpy as np

from service.engine.arrays import Array
from service.engine.rendering import EPSILON, enlarge
from service.engine.sets.regions import Mask


def localise(heat: Array, mask: Mask) -> dict[str, Any]:
    """Measure a map (h, w) at any resolution, over the picture as the overlay is, against the object's pixels."""
    height, width = mask.shape
    values = np.maximum(enlarge(heat, (height, width)), 0)
    numbers: dict[str, Any] = {"energy": 0.0, "pointing": False, "area": float(mask.mean())}
    if values.max() > EPSILON:
        numbers["energy"] = float(values[mask].sum(dtype=np.float64) / values.sum(dtype=np.float64))
        numbers["pointing"] = bool(mask.flat[int(values.argmax())])
    return numbers
