"""Points and curves in a plane, with axes and a legend, in plain shapes and Pillow's own font. Knows no methods."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from service.engine.arrays import Array
from service.engine.drawing.rendering import Drawing
from service.engine.drawing.visuals import Scatter

# All is drawn at twice its size and halved, as Pillow's circles have no smooth edges.
_DOUBLE: Final = 2
_SIDE: Final = 560
_LEFT, _TOP, _BOTTOM, _LEGEND = 72, 16, 56, 150
_FONT_SIZE, _NAME_SIZE, _RADIUS = 12, 16, 3.5
_INK, _PAPER, _GRID, _UNNAMED = (27, 29, 33), (255, 255, 255), (232, 234, 238), (160, 164, 172)
_MAX_NAME: Final = 18
# How many lines below its group's median a name may stand, that line counted.
_MAX_LINES: Final = 3
# Of so many points each is drawn smaller.
_MANY: Final = 1000
# Tableau's ten and their lighter kin, black in place of gray, which is for points of no group.
_COLOURS: Final = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189), (140, 86, 75), (227, 119, 194),
    (40, 40, 40), (188, 189, 34), (23, 190, 207), (174, 199, 232), (255, 187, 120), (152, 223, 138), (255, 152, 150),
    (197, 176, 213), (196, 156, 148), (247, 182, 210), (219, 219, 141), (158, 218, 229),
)  # fmt: skip

Colour = tuple[int, int, int]
# The least of both axes, and the greatest.
Bounds = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class _Axis:
    """From numbers to pixels; `low` and `high` are drawn at `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> Iterator[float]:
        """Round numbers, some six of them."""
        rough = (self.high - self.low) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        for number in range(math.ceil(self.low / step), math.floor(self.high / step) + 1):
            yield number * step


@dataclass(frozen=True)
class Frame:
    """How large a plot is, whether it has a legend, and what it reaches over where that is not its own points."""

    side: int = _SIDE
    has_legend: bool = True
    bounds: Bounds | None = None


def find_bounds(points: Array) -> Bounds:
    """What points (n, 2) reach over, to the right and up."""
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    return (float(left), float(bottom)), (float(right), float(top))


def draw_scatter(scatter: Scatter, layer: str | None, frame: Frame = Frame()) -> Drawing:
    """Every point in its group's colour, the groups' names at their medians and in the legend."""
    names = sorted({name for name in scatter.groups if name is not None}, key=_natural)
    colours: dict[str | None, Colour] = dict(zip(names, _COLOURS, strict=False))
    width = _LEFT + frame.side + (_LEGEND if names and frame.has_legend else _TOP)
    height = _TOP + frame.side + _BOTTOM
    image = Image.new("RGB", (width * _DOUBLE, height * _DOUBLE), _PAPER)
    canvas = ImageDraw.Draw(image)
    across, up = _find_axes(frame.bounds or find_bounds(scatter.points), frame.side)
    _draw_axes(canvas, across, up)
    font = ImageFont.load_default(_FONT_SIZE * _DOUBLE)
    canvas.text(((across.start + across.end) / 2, up.start + 58), scatter.axes[0], _INK, font, anchor="mt")
    _write_upwards(image, scatter.axes[1], (up.start + up.end) / 2)
    if scatter.connected:
        _draw_curves(canvas, scatter, (across, up), colours)
    _draw_points(canvas, scatter, (across, up), colours)
    if not scatter.connected:
        _draw_names(canvas, scatter, (across, up), [name for name in colours if name is not None])
    if frame.has_legend:
        _draw_legend(canvas, names, colours)
    smooth = image.resize((width, height), Image.Resampling.LANCZOS)
    return Drawing(scatter.name, layer, np.asarray(smooth))


def _find_axes(bounds: Bounds, side: int) -> tuple[_Axis, _Axis]:
    left, top, side = _LEFT * _DOUBLE, _TOP * _DOUBLE, side * _DOUBLE
    across, up = (_widen(low, high) for low, high in zip(*bounds, strict=True))
    return _Axis(*across, left, left + side), _Axis(*up, top + side, top)


def _widen(low: float, high: float) -> tuple[float, float]:
    room = 0.04 * (high - low) or max(abs(high), 1.0)
    return low - room, high + room


def _draw_axes(canvas: ImageDraw.ImageDraw, across: _Axis, up: _Axis) -> None:
    font = ImageFont.load_default(_FONT_SIZE * _DOUBLE)
    for value in across.ticks():
        canvas.line((across.at(value), up.start, across.at(value), up.end), _GRID, _DOUBLE)
        canvas.text((across.at(value), up.start + 12), f"{value:g}", _INK, font, anchor="mt")
    for value in up.ticks():
        canvas.line((across.start, up.at(value), across.end, up.at(value)), _GRID, _DOUBLE)
        canvas.text((across.start - 12, up.at(value)), f"{value:g}", _INK, font, anchor="rm")
    canvas.rectangle((across.start, up.end, across.end, up.start), outline=_INK, width=_DOUBLE)


def _write_upwards(image: Image.Image, text: str, middle: float) -> None:
    """Beside the left axis, turned."""
    font = ImageFont.load_default(_FONT_SIZE * _DOUBLE)
    size = round(font.getlength(text)) + 4, 2 * _FONT_SIZE * _DOUBLE
    label = Image.new("RGB", size, _PAPER)
    ImageDraw.Draw(label).text((size[0] / 2, size[1] / 2), text, _INK, font, anchor="mm")
    turned = label.rotate(90, expand=True)
    image.paste(turned, (4, round(middle - turned.height / 2)))


def _draw_points(
    canvas: ImageDraw.ImageDraw, scatter: Scatter, axes: tuple[_Axis, _Axis], colours: dict[str | None, Colour]
) -> None:
    # In an order of chance, the same every time, so that no group covers the others.
    order = np.random.default_rng(0).permutation(len(scatter.points))
    radius = _RADIUS * _DOUBLE * (0.7 if len(scatter.points) > _MANY else 1.0)
    for number in order:
        x, y = axes[0].at(float(scatter.points[number, 0])), axes[1].at(float(scatter.points[number, 1]))
        colour = colours.get(scatter.groups[number], _UNNAMED)
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), colour, _PAPER, 1)


def _draw_curves(
    canvas: ImageDraw.ImageDraw, scatter: Scatter, axes: tuple[_Axis, _Axis], colours: dict[str | None, Colour]
) -> None:
    for name in dict.fromkeys(scatter.groups):
        own = scatter.points[[group == name for group in scatter.groups]]
        places = [(axes[0].at(float(x)), axes[1].at(float(y))) for x, y in own]
        canvas.line(places, colours.get(name, _UNNAMED), 2 * _DOUBLE, joint="curve")


def _draw_names(canvas: ImageDraw.ImageDraw, scatter: Scatter, axes: tuple[_Axis, _Axis], names: Sequence[str]) -> None:
    """Each above its group's median, or below the name that stands there already, not far off."""
    font = ImageFont.load_default(_NAME_SIZE * _DOUBLE)
    room, taken = 1.2 * _NAME_SIZE * _DOUBLE, list[tuple[float, float]]()
    for name in names:
        own = scatter.points[[group == name for group in scatter.groups]]
        x, y = (axis.at(float(middle)) for axis, middle in zip(axes, np.median(own, axis=0), strict=True))
        lines = [y + line * room for line in range(_MAX_LINES)]
        free = (at for at in lines if not any(abs(x - left) < room and abs(at - top) < room for left, top in taken))
        if (found := next(free, None)) is None:
            continue
        y = found
        taken.append((x, y))
        canvas.text(
            (x, y - 3 * _RADIUS * _DOUBLE),
            _cut(name),
            _INK,
            font,
            anchor="mb",
            stroke_width=3 * _DOUBLE,
            stroke_fill=_PAPER,
        )


def _draw_legend(canvas: ImageDraw.ImageDraw, names: Sequence[str], colours: dict[str | None, Colour]) -> None:
    font = ImageFont.load_default(_FONT_SIZE * _DOUBLE)
    left, line = (_LEFT + _SIDE + 14) * _DOUBLE, 20 * _DOUBLE
    shown: list[tuple[str, Colour]] = [(_cut(name), colours[name]) for name in names if name in colours]
    if len(names) > len(shown):
        shown.append((f"{len(names) - len(shown)} others", _UNNAMED))
    for row, (name, colour) in enumerate(shown):
        y = (_TOP + 8) * _DOUBLE + row * line
        canvas.ellipse((left, y - 10, left + 20, y + 10), colour)
        canvas.text((left + 32, y), name, _INK, font, anchor="lm")


def _cut(name: str) -> str:
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"


def _natural(name: str) -> tuple[int, int, str]:
    """Numbers by their size, before words."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
