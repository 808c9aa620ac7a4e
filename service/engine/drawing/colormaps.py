"""Colour maps as lookup tables: (256, 3) uint8, RGB. The tables are OpenCV's, whose order is BGR, but for `coolwarm`.

That one is for signed numbers, its middle for zero: Moreland 2009, https://doi.org/10.1007/978-3-642-10520-3_9, from
blue through gray to red, straight lines between nine of its colours.
"""

from functools import cache
from typing import Final

import cv2
import numpy as np

from schemas.rendering import Colormap
from service.engine.arrays import Pixels

_OPENCV: Final[dict[Colormap, int]] = {
    "viridis": cv2.COLORMAP_VIRIDIS,
    "inferno": cv2.COLORMAP_INFERNO,
    "magma": cv2.COLORMAP_MAGMA,
    "plasma": cv2.COLORMAP_PLASMA,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "turbo": cv2.COLORMAP_TURBO,
    "jet": cv2.COLORMAP_JET,
}
# For signed numbers; zero is in the middle.
DIVERGING: Final[frozenset[Colormap]] = frozenset(("coolwarm",))
_COOLWARM: Final = (
    *((59, 76, 192), (98, 130, 234), (141, 176, 254), (184, 208, 249), (221, 221, 221)),
    *((245, 196, 173), (244, 154, 123), (222, 96, 77), (180, 4, 38)),
)

# ColorBrewer's RdBu (Cynthia Brewer, Apache-2.0), from blue over white to red.
_RED_BLUE: Final = (
    (5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240), (247, 247, 247),
    (253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43), (103, 0, 31),
)  # fmt: skip
_GROUND: Final = (178, 182, 190)


@cache
def lookup_table(name: Colormap) -> Pixels:
    """The colour map's 256 colours, low to high: (256, 3) uint8, RGB."""
    ramp = np.arange(256, dtype=np.uint8)
    if name == "gray":
        return np.repeat(ramp[:, None], 3, axis=1)
    if name == "coolwarm":
        places = np.linspace(0, 255, len(_COOLWARM))
        channels = [np.interp(ramp, places, channel) for channel in zip(*_COOLWARM, strict=True)]
        return np.asarray(np.rint(np.stack(channels, axis=1)), np.uint8)
    bgr = np.asarray(cv2.applyColorMap(ramp[:, None], _OPENCV[name]), dtype=np.uint8)
    return np.ascontiguousarray(bgr.reshape(256, 3)[:, ::-1])


@cache
def diverging_table() -> Pixels:
    """(256, 3) uint8, RGB: blue below 128, white there, red above; 0 is the gray that lies between maps."""
    anchors = np.linspace(1, 255, len(_RED_BLUE))
    channels = [np.interp(np.arange(256), anchors, channel) for channel in np.transpose(_RED_BLUE)]
    table = np.asarray(np.rint(np.stack(channels, axis=1)), np.uint8)
    table[0] = _GROUND
    return table
