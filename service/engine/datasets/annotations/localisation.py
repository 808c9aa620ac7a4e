"""How much of a heat map lies in the object of the picture.

`energy` is the share of the heat there (Wang et al. 2020, https://arxiv.org/abs/1910.01279), `pointing` whether the
hottest pixel is (Zhang et al. 2016, https://arxiv.org/abs/1608.00507), `area` the share of what the network
saw that the object takes: what heat spread evenly would have for its energy.
"""

from typing import Any

import numpy as np

from service.engine.arrays import Array
from service.engine.datasets.annotations.regions import Mask
from service.engine.drawing.map_over_picture import lay_over_taken
from service.engine.drawing.rendering import EPSILON
from service.engine.images.framing import Framing, frame


def localise(heat: Array, mask: Mask, framing: Framing | None = None) -> dict[str, Any]:
    """Measure a map (h, w) at any resolution, over the picture as the overlay is, against the object's pixels.

    Only the part of the picture that the network saw counts.
    """
    if framing is None:
        framing = frame("stretch", (mask.shape[0], mask.shape[1]), (heat.shape[0], heat.shape[1]))
    top, left, bottom, right = framing.taken
    mask = mask[top:bottom, left:right]
    values = np.maximum(lay_over_taken(heat, framing, (bottom - top, right - left)), 0)
    numbers: dict[str, Any] = {"energy": 0.0, "pointing": False, "area": float(mask.mean())}
    if values.max() > EPSILON:
        numbers["energy"] = float(values[mask].sum(dtype=np.float64) / values.sum(dtype=np.float64))
        numbers["pointing"] = bool(mask.ravel()[int(values.argmax())])
    return numbers
