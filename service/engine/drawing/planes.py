"""The planes of several versions side by side, on the same axes where those mean the same. Knows no methods."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from service.engine.arrays import Array
from service.engine.drawing.charts import draw_side_by_side
from service.engine.drawing.plots import Frame, draw_scatter, find_bounds
from service.engine.drawing.rendering import Drawing
from service.engine.drawing.visuals import Scatter

_SIDE: Final = 400
SAME_AXES: Final = "the same axes for all versions"
OWN_AXES: Final = "each version on axes of its own, its principal components: places cannot be compared between them"


def draw_planes(titles: Sequence[str], planes: Sequence[Scatter]) -> Drawing:
    """A small plot for each, with what its points reach over in its title, and names at the points alone."""
    own = any(plane.own_axes for plane in planes)
    bounds = None if own else find_bounds(np.concatenate([plane.points for plane in planes]))
    frame = Frame(_SIDE, has_legend=False, bounds=bounds)
    drawn = [draw_scatter(plane, None, frame).pixels for plane in planes]
    texts = [f"{title}   {_measure(plane.points)}" for title, plane in zip(titles, planes, strict=True)]
    return draw_side_by_side(list(zip(texts, drawn, strict=True)), OWN_AXES if own else SAME_AXES)


def _measure(points: Array) -> str:
    (left, bottom), (right, top) = find_bounds(points)
    return f"from {left:.3g} to {right:.3g} across, {bottom:.3g} to {top:.3g} up"
