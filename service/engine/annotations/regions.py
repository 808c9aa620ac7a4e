"""Where the objects of a picture are, from outlines and run lengths to pixels. Knows no files.

Places are in pixels from the upper left corner of the picture, whose first pixel reaches from 0 to 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from service.engine.annotations.ground_truth import same_name
from service.errors import AnnotationInvalidError

Mask = NDArray[np.bool_]

# What drawing the objects of one picture may cost: numbers worked through.
_MAX_CROSSINGS: Final = 2**22
_MAX_PIXELS: Final = 2**30


@dataclass(frozen=True)
class Polygon:
    """A filled outline: (n, 2) float64 of x and y."""

    points: NDArray[np.float64]

    def scale(self, x: float, y: float) -> "Polygon":
        return Polygon(self.points * (x, y))


@dataclass(frozen=True)
class RunLengths:
    """Pixels of a mask of (h, w) column by column: how many are not the object's, how many are, and so on."""

    size: tuple[int, int]
    counts: NDArray[np.int64]


Shape = Polygon | RunLengths


@dataclass(frozen=True)
class Thing:
    """One object: what it is called, if anything, and the shapes that it is made of."""

    name: str | None
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class Annotation:
    """The objects of one picture by one file; `frame` (h, w) is the size that the file says the picture has.

    `crowds` are so many regions of several objects that were left out.
    """

    file: str
    things: tuple[Thing, ...]
    frame: tuple[int, int] | None = None
    crowds: int = 0

    def about(self, names: Sequence[str]) -> "Annotation":
        """Only the objects that have the first of these names that any has; all, where none has one of them."""
        for name in names:
            if found := tuple(thing for thing in self.things if thing.name and same_name(thing.name, name)):
                return replace(self, things=found)
        return self


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    """The outline of a box."""
    return Polygon(np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64))


def draw(annotation: Annotation, size: tuple[int, int]) -> Mask:
    """The pixels of all objects in a picture of (h, w). Raises AnnotationInvalidError."""
    mask = np.zeros(size, np.bool_)
    shapes = [shape for thing in annotation.things for shape in thing.shapes]
    if annotation.frame is not None:
        require_aspect(annotation.frame, size, annotation.file)
        down, across = size[0] / annotation.frame[0], size[1] / annotation.frame[1]
        shapes = [shape.scale(across, down) if isinstance(shape, Polygon) else shape for shape in shapes]
    _require_modest(shapes, size, annotation.file)
    for shape in shapes:
        if isinstance(shape, RunLengths):
            mask |= fit_mask(_unroll(shape), size, annotation.file)
        else:
            require_inside(shape, size, annotation.file)
            _fill(shape.points, mask)
    return mask


def require_inside(polygon: Polygon, size: tuple[int, int], file: str) -> None:
    """Raise AnnotationInvalidError for an object that lies outside a picture of (h, w) altogether."""
    low, high = polygon.points.min(axis=0), polygon.points.max(axis=0)
    if (high < 0).any() or low[0] >= size[1] or low[1] >= size[0]:
        raise AnnotationInvalidError(
            f"'{file}': an object from {_point(low)} to {_point(high)} lies outside its picture of "
            f"{size[1]} x {size[0]} pixels"
        )


def require_aspect(size: tuple[int, int], wanted: tuple[int, int], file: str) -> None:
    """Raise AnnotationInvalidError where one size is not the other, larger or smaller but for a pixel's rounding."""
    if abs(size[0] * wanted[1] - size[1] * wanted[0]) > max(wanted):
        raise AnnotationInvalidError(
            f"'{file}' is for a picture of {size[1]} x {size[0]} pixels, and the picture has {wanted[1]} x {wanted[0]}"
        )


def fit_mask(mask: Mask, size: tuple[int, int], file: str) -> Mask:
    """A mask at the size of its picture (h, w), by nearest neighbour. Raises AnnotationInvalidError."""
    if mask.shape == size:
        return mask
    require_aspect((mask.shape[0], mask.shape[1]), size, file)
    resized = cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, np.bool_)


def _require_modest(shapes: Sequence[Shape], size: tuple[int, int], file: str) -> None:
    """Untrusted: a small file can ask for much drawing."""
    pixels, crossings = 0, 0.0
    for shape in shapes:
        if isinstance(shape, RunLengths):
            pixels += shape.size[0] * shape.size[1] + size[0] * size[1]
            continue
        _, part = _bounds(shape.points, size)
        pixels += part[0] * part[1]
        heights = np.abs(shape.points[:, 1] - np.roll(shape.points[:, 1], -1))
        crossings += float(np.minimum(heights + 1, size[0]).sum())
    if pixels > _MAX_PIXELS or crossings > _MAX_CROSSINGS:
        raise AnnotationInvalidError(f"'{file}' marks more objects than are drawn in a picture of this size")


def _unroll(runs: RunLengths) -> Mask:
    values = np.arange(len(runs.counts)) % 2 == 1
    return np.repeat(values, runs.counts).reshape(runs.size, order="F")


def _bounds(points: NDArray[np.float64], size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The part of a picture of (h, w) that an outline lies in: (y, x) where it starts, and its (h, w)."""
    low = np.clip(np.floor(points.min(axis=0))[::-1], 0, size).astype(int)
    high = np.clip(np.ceil(points.max(axis=0))[::-1], 0, size).astype(int)
    return (int(low[0]), int(low[1])), (int(high[0] - low[0]), int(high[1] - low[1]))


def _fill(points: NDArray[np.float64], mask: Mask) -> None:
    """Mark the pixels whose centre lies inside, by the even-odd rule.

    Each edge turns everything right of where it crosses a row's centre.
    """
    (top, left), (height, width) = _bounds(points, (mask.shape[0], mask.shape[1]))
    points = points - (left, top)
    start, end = points, np.roll(points, -1, axis=0)
    first, last = (
        np.clip(np.ceil(extreme(start[:, 1], end[:, 1]) - 0.5), 0, height).astype(np.int64)
        for extreme in (np.minimum, np.maximum)
    )
    counts = last - first
    edges = np.repeat(np.arange(len(points)), counts)
    rows = np.arange(len(edges)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edges]
    slope = (end - start)[edges]
    across = start[edges, 0] + (rows + 0.5 - start[edges, 1]) * slope[:, 0] / slope[:, 1]
    columns = np.clip(np.ceil(across - 0.5), 0, width).astype(np.int64)
    turns = np.zeros((height, width + 1), np.uint8)
    np.add.at(turns, (rows, columns), 1)
    # Beyond 255 it starts again from 0, which is as even as 256.
    mask[top : top + height, left : left + width] |= (np.cumsum(turns[:, :width], axis=1, dtype=np.uint8) & 1).astype(
        np.bool_
    )


def _point(place: NDArray[np.float64]) -> str:
    return f"({place[0]:g}, {place[1]:g})"
