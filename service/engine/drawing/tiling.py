"""Tiles to one sheet of shades: scaled, enlarged where they are tiny, laid out row by row. Knows no colours."""

import numpy as np

from service.engine.arrays import Array, Pixels
from service.engine.drawing.visuals import Tiles

# Smaller tiles are enlarged by a whole factor, or a person could not read them; a single one is drawn large.
MIN_TILE_SIDE = 32
MIN_SINGLE_SIDE = 256
# A long and narrow one, such as the weights of a dense layer, on its narrow side, as far as the long one allows.
MIN_NARROW_SIDE, MAX_LONG_SIDE = 128, 1280
# Single numbers become cells of a strip, as large as its width allows.
STRIP_WIDTH = 768
MIN_CELL_SIDE = 12
MAX_CELL_SIDE = 48


def lay_out(tiles: Tiles, *, columns: int, margin: int, ground: int = 0, tile_side: int = MIN_TILE_SIDE) -> Pixels:
    """One sheet of all tiles: (h, w) uint8 shades, or (h, w, 3) uint8 RGB. Between and beyond them is the ground.

    Smaller tiles are enlarged to `tile_side` at least.
    """
    shades = _shade(tiles)
    columns = min(tiles.columns or columns, len(shades))
    zoom = _zoom(shades.shape, columns, tile_side)
    rows = -(-len(shades) // columns)
    height, width = shades.shape[1] * zoom, shades.shape[2] * zoom
    sheet = np.full((rows * (height + margin), columns * (width + margin), *shades.shape[3:]), ground, np.uint8)
    cells = sheet.reshape(rows, height + margin, columns, width + margin, *shades.shape[3:])
    enlarged = shades.repeat(zoom, axis=1).repeat(zoom, axis=2) if zoom > 1 else shades
    for row in range(rows):
        part = enlarged[row * columns : (row + 1) * columns]
        cells[row, :height, : len(part), :width] = part.swapaxes(0, 1)
    return sheet[: sheet.shape[0] - margin, : sheet.shape[1] - margin]


def _shade(tiles: Tiles) -> Pixels:
    values = tiles.values
    if tiles.scale == "standard":
        return _standardise(values)
    if tiles.scale == "picture":
        return np.asarray(np.rint(np.clip(values, 0, 1) * 255), np.uint8)
    if tiles.scale == "signed":
        return signed_shades(values, tiles.high)
    span = tiles.high - tiles.low
    if span <= 0:
        return np.zeros(values.shape, np.uint8)
    return np.asarray(np.rint((values - np.float32(tiles.low)) * np.float32(255 / span)), np.uint8)


def signed_shades(values: Array, most: float) -> Pixels:
    """From -`most` to `most` as 1 to 255, so that zero is 128."""
    if most <= 0:
        return np.full(values.shape, 128, np.uint8)
    return np.asarray(128 + np.rint(np.clip(values / np.float32(most), -1, 1) * 127), np.uint8)


def _standardise(values: Array) -> Pixels:
    """Per tile: mean off, divided by the deviation, times 64 plus 128, clipped.

    A constant tile is flat: 0 where it never answers at all, and 128, as is every mean, where it always answers alike.
    """
    mean = values.mean(axis=(1, 2), keepdims=True)
    deviation = values.std(axis=(1, 2), keepdims=True)
    # Rounding alone gives a constant map a tiny deviation.
    constant = values.max(axis=(1, 2), keepdims=True) == values.min(axis=(1, 2), keepdims=True)
    scaled = (values - mean) * (64 / np.where(constant | (deviation == 0), 1, deviation)) + 128
    flat = np.where(values == 0, 0, 128)
    return np.where(constant, flat, np.clip(scaled, 0, 255)).astype(np.uint8)


def _zoom(shape: tuple[int, ...], columns: int, tile_side: int) -> int:
    count, height, width = shape[:3]
    if height * width == 1:
        return min(max(STRIP_WIDTH // columns, MIN_CELL_SIDE), MAX_CELL_SIDE)
    long, narrow = max(height, width), min(height, width)
    if count > 1:
        return -(-tile_side // long)
    return max(-(-MIN_SINGLE_SIDE // long), min(-(-MIN_NARROW_SIDE // narrow), MAX_LONG_SIDE // long))
