"""Sheets of cells with names: matrices of numbers, and rows of pictures and maps. Knows no methods."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from schemas.rendering import Colormap
from service.engine.arrays import Pixels
from service.engine.drawing.colormaps import DIVERGING, lookup_table
from service.engine.drawing.rendering import Drawing
from service.engine.drawing.visuals import Cell, CellRow, CellSheet, Matrix

_FONT_SIZE, _PAD, _LINE = 12, 8, 16
_INK, _PAPER, _EMPTY = (27, 29, 33), (255, 255, 255), (240, 241, 243)
_MAX_LABEL: Final = 32
# Of a matrix: cells get smaller the more there are, but names need a line each.
_WIDTH, _HEIGHT, _MAX_CELL = 1280, 1600, 24
_LEAST_NAMED = 11
_SCALE_WIDTH = 200
# Between cells with pictures.
_GAP = 4


def draw_matrix(matrix: Matrix, colormap: Colormap) -> Drawing:
    """A cell for each number, from the least to the greatest of all; the scale below, and names where there is room.

    Where there is none for the names of rows, those of their groups stand in the middle of each.
    """
    values = matrix.values
    low, high = float(values.min()), float(values.max())
    if colormap in DIVERGING:
        high = max(abs(low), abs(high))
        low = -high
    shades = np.rint((values - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
    height, width = (
        max(1, min(_MAX_CELL, room // count)) for room, count in zip((_HEIGHT, _WIDTH), values.shape, strict=True)
    )
    cells = lookup_table(colormap)[shades.repeat(height, axis=0).repeat(width, axis=1)]
    font = ImageFont.load_default(_FONT_SIZE)
    rows = _name_rows(matrix, height)
    left = round(max((font.getlength(label) for label, _, _ in rows), default=0)) + 2 * _PAD
    top = _LINE + _PAD
    size = (max(left + cells.shape[1], left + _SCALE_WIDTH) + _PAD, top + cells.shape[0] + 2 * _LINE + 2 * _PAD)
    image = Image.new("RGB", size, _PAPER)
    image.paste(Image.fromarray(cells), (left, top))
    canvas = ImageDraw.Draw(image)
    for label, first, end in rows:
        canvas.text((left - _PAD, top + (first + end) / 2 * height), label, _INK, font, anchor="rm")
        if end - first > 1:
            canvas.line((left - 3, top + first * height, left - 3, top + end * height - 2), _INK)
    every = _every(matrix.columns, width, font)
    for column in range(0, len(matrix.columns), every):
        canvas.text((left + (column + 0.5) * width, top - 2), matrix.columns[column], _INK, font, anchor="mb")
    _draw_scale(image, (left, top + cells.shape[0] + _PAD), (low, high), colormap)
    return Drawing(matrix.name, matrix.layer, np.asarray(image))


def _name_rows(matrix: Matrix, height: int) -> list[tuple[str, int, int]]:
    """Names with the first row that each stands for, and the one after the last."""
    if height >= _LEAST_NAMED:
        return [(_shorten(label), row, row + 1) for row, label in enumerate(matrix.rows)]
    runs, first = list[tuple[str, int, int]](), 0
    for label, members in groupby(matrix.groups):
        end = first + len(list(members))
        if label is not None and (end - first) * height >= _LEAST_NAMED:
            runs.append((_shorten(label), first, end))
        first = end
    return runs


def draw_cells(sheet: CellSheet, colormap: Colormap) -> Drawing:
    """Rows below each other, each with its name at the left and the words on a cell below it."""
    labels, strips = [], []
    for row in sheet.rows:
        labels.append(_shorten(row.label))
        strips.append(_draw_row(row, sheet, colormap))
    font = ImageFont.load_default(_FONT_SIZE)
    left = round(max(map(font.getlength, labels), default=0)) + 2 * _PAD
    cells = np.concatenate(strips)
    image = Image.new("RGB", (left + cells.shape[1] + _PAD, cells.shape[0]), _PAPER)
    image.paste(Image.fromarray(cells), (left, 0))
    canvas, top = ImageDraw.Draw(image), 0
    for label, strip in zip(labels, strips, strict=True):
        canvas.text((left - _PAD, top + sheet.side / 2), label, _INK, font, anchor="rm")
        top += len(strip)
    return Drawing(sheet.name, sheet.layer, np.asarray(image))


def _draw_row(row: CellRow, sheet: CellSheet, colormap: Colormap) -> Pixels:
    """Without its name. The pictures themselves may be large, and are let go."""
    side, width = sheet.side, sheet.columns * (sheet.side + _GAP)
    has_words = any(cell.text for cell in row.cells)
    image = Image.new("RGB", (width, side + _GAP + _LINE * has_words), _PAPER)
    canvas = ImageDraw.Draw(image)
    font = ImageFont.load_default(_FONT_SIZE)
    for column, cell in enumerate(row.cells):
        left = column * (side + _GAP)
        canvas.rectangle((left, 0, left + side - 1, side - 1), _EMPTY)
        picture = Image.fromarray(_draw_cell(cell, side, colormap))
        image.paste(picture, (left + (side - picture.width) // 2, (side - picture.height) // 2))
        canvas.text((left + side / 2, side + 1), _shorten(cell.text, 18), _INK, font, anchor="mt")
    return np.asarray(image)


def _draw_cell(cell: Cell, side: int, colormap: Colormap) -> Pixels:
    """(h, w, 3), the longer side `side`; what is enlarged keeps its pixels."""
    values = cell.values
    if values.ndim == 2:
        values = lookup_table(colormap)[np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)]
    scale = side / max(values.shape[:2])
    height, width = (max(1, round(side * scale)) for side in values.shape[:2])
    method = cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA
    resized = np.asarray(cv2.resize(values, (width, height), interpolation=method), np.uint8)
    colours = resized if resized.ndim == 3 else resized[..., None].repeat(3, axis=2)
    if cell.frame is not None:
        top, left, bottom, right = (round(side * scale) for side in cell.frame)
        colours = np.ascontiguousarray(colours)
        # Black about white is seen on any colour.
        cv2.rectangle(colours, (left - 1, top - 1), (max(left, right), max(top, bottom)), _INK, 1)
        cv2.rectangle(colours, (left, top), (max(left, right - 1), max(top, bottom - 1)), _PAPER, 1)
    return colours


def _draw_scale(image: Image.Image, corner: tuple[int, int], ends: tuple[float, float], colormap: Colormap) -> None:
    """A ramp of all colours, and the numbers at its ends."""
    left, top = corner
    ramp = np.linspace(0, 255, _SCALE_WIDTH).astype(np.uint8)[None].repeat(_LINE - 4, axis=0)
    image.paste(Image.fromarray(lookup_table(colormap)[ramp]), (left, top))
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(_FONT_SIZE)
    below = top + _LINE
    canvas.text((left, below), f"{ends[0]:.4g}", _INK, font, anchor="lt")
    canvas.text((left + _SCALE_WIDTH, below), f"{ends[1]:.4g}", _INK, font, anchor="rt")


def _every(names: Sequence[str], width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    """How many columns apart names can stand."""
    return max(1, -(-round(max(map(font.getlength, names), default=0) + _PAD) // width))


def _shorten(label: str, most: int = _MAX_LABEL) -> str:
    return label if len(label) <= most else "…" + label[1 - most :]
