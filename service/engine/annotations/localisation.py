"""How much of a heat map lies in the object of the picture.

`energy` is the share of the heat there (Wang et al. 2020, https://arxiv.org/abs/1910.01279), `pointing` whether the
hottest pixel is (Zhang et al. 2016, https://arxiv.org/abs/1608.00507), `area` the share of what the network
saw that the object takes: what heat spread evenly would have for its energy.
"""

import numpy as np

from schemas.values.heatmaps import ObjectHeat
from service.engine.annotations.regions import Mask
from service.engine.arrays import Array
from service.engine.drawing.map_over_picture import lay_over_taken
from service.engine.drawing.rendering import EPSILON
from service.engine.images.framing import Framing, frame


def localise(heat: Array, mask: Mask, file: str, framing: Framing | None = None) -> ObjectHeat:
    """Measure a map (h, w) at any resolution, over the picture as the overlay is, against the pixels that `file` marks.

    Only the part of the picture that the network saw counts.
    """
    if framing is None:
        framing = frame("stretch", (mask.shape[0], mask.shape[1]), (heat.shape[0], heat.shape[1]))
    top, left, bottom, right = framing.taken
    mask = mask[top:bottom, left:right]
    values = np.maximum(lay_over_taken(heat, framing, (bottom - top, right - left)), 0)
    is_empty = not values.max() > EPSILON
    return ObjectHeat(
        file=file,
        energy=0.0 if is_empty else float(values[mask].sum(dtype=np.float64) / values.sum(dtype=np.float64)),
        pointing=not is_empty and bool(mask.ravel()[int(values.argmax())]),
        area=float(mask.mean()),
    )
