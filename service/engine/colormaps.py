"""Colour maps as lookup tables: (256, 3) uint8, RGB. The tables are OpenCV's, whose order is BGR."""

from functools import cache
from typing import Final

import cv2
import numpy as np

from schemas.rendering import Colormap
from service.engine.probe import Pixels

_OPENCV: Final[dict[Colormap, int]] = {
    "viridis": cv2.COLORMAP_VIRIDIS,
    "inferno": cv2.COLORMAP_INFERNO,
    "magma": cv2.COLORMAP_MAGMA,
    "plasma": cv2.COLORMAP_PLASMA,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "turbo": cv2.COLORMAP_TURBO,
    "jet": cv2.COLORMAP_JET,
}


@cache
def lookup_table(name: Colormap) -> Pixels:
    """The colour map's 256 colours, low to high: (256, 3) uint8, RGB."""
    ramp = np.arange(256, dtype=np.uint8)
    if name == "gray":
        return np.repeat(ramp[:, None], 3, axis=1)
    bgr = np.asarray(cv2.applyColorMap(ramp[:, None], _OPENCV[name]), dtype=np.uint8)
    return np.ascontiguousarray(bgr.reshape(256, 3)[:, ::-1])
