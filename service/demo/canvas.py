"""Anti-aliased drawing on a square canvas whose places and lengths are shares of its side. Knows no classes.

A canvas is `(h, w, 3) float32 in [0, 1], RGB`; a coverage `(h, w) float32 in [0, 1]` says
how much of each pixel is painted.
"""

import colorsys

import cv2
import numpy as np
from numpy.typing import NDArray

from service.demo.outlines import Contour, Outline

Canvas = NDArray[np.float32]
Coverage = NDArray[np.float32]
Colour = NDArray[np.float32]

SUPERSAMPLING = 4
_FRACTION_BITS = 6


def place(outline: Outline, *, centre: Contour, radius: float, angle: float) -> Outline:
    """The outline turned by `angle` (radians), scaled from the unit disc to `radius` and moved to `centre`."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [contour @ turn * radius + centre for contour in outline]


def cover(outline: Outline, size: int) -> Coverage:
    """Coverage of a filled outline; further contours are holes."""
    plane = np.zeros((size * SUPERSAMPLING,) * 2, np.uint8)
    cv2.fillPoly(plane, [_to_subpixels(contour, size) for contour in outline], 255, shift=_FRACTION_BITS)
    return _shrink(plane, size)


def cover_stroke(path: Contour, size: int, *, width: float) -> Coverage:
    """Coverage of an open line along the path."""
    plane = np.zeros((size * SUPERSAMPLING,) * 2, np.uint8)
    thickness = max(1, round(width * size * SUPERSAMPLING))
    cv2.polylines(
        plane, [_to_subpixels(path, size)], isClosed=False, color=255, thickness=thickness, shift=_FRACTION_BITS
    )
    return _shrink(plane, size)


def paint(canvas: Canvas, coverage: Coverage, colour: Colour | Canvas) -> None:
    """Blend a colour, or a picture of the canvas's size, into the canvas in place."""
    canvas += coverage[..., None] * (colour - canvas)


def cast_shadow(canvas: Canvas, coverage: Coverage, *, depth: float) -> None:
    """Darken the canvas in place, softly, below and to the right of what is about to be painted."""
    size = len(canvas)
    move = np.array([[1.0, 0.0, 0.5 * depth * size], [0.0, 1.0, depth * size]])
    moved = cv2.warpAffine(coverage, move, (size, size))
    canvas *= 1.0 - 0.4 * cv2.GaussianBlur(moved, (0, 0), 0.7 * depth * size)[..., None]


def mix_colour(
    generator: np.random.Generator, *, hue: float, saturation: tuple[float, float], value: tuple[float, float]
) -> Colour:
    """A colour of the hue (in turns), its saturation and value within the given bounds."""
    return np.array(
        colorsys.hsv_to_rgb(hue % 1.0, generator.uniform(*saturation), generator.uniform(*value)), np.float32
    )


def _to_subpixels(contour: Contour, size: int) -> NDArray[np.int32]:
    scale = size * SUPERSAMPLING
    # OpenCV puts whole coordinates on pixel centres, we put them on pixel edges.
    points: NDArray[np.int32] = np.round((contour * scale - 0.5) * 2**_FRACTION_BITS).astype(np.int32)
    return points


def _shrink(plane: NDArray[np.uint8], size: int) -> Coverage:
    return (cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA) / 255.0).astype(np.float32)
