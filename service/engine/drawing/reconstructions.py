"""Draws what autoencoders decode, in its own colours, and what has a sign, in colours of two. Measures errors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from schemas.values.autoencoders import Bounds, ErrorUnits, ReconstructionValues
from service.engine.arrays import Array, Pixels
from service.engine.drawing.cells import draw_cells
from service.engine.drawing.colormaps import diverging_table
from service.engine.drawing.rendering import Drawing
from service.engine.drawing.tiling import MIN_TILE_SIDE, lay_out, signed_shades
from service.engine.drawing.visuals import Cell, CellRow, CellSheet, Reconstruction, Tiles
from service.engine.images.preprocessing import Preprocessing
from service.errors import NotFiniteError

# Smaller pictures are enlarged by a whole factor.
PANEL_SIDE: Final = 140
# Sheets of small pictures are made about as wide.
SHEET_WIDTH: Final = 840
# Pictures with words below them: as wide as these, and larger ones as they are up to the most.
LEAST_NAMED_SIDE, MOST_NAMED_SIDE, NAMED_SHEET_WIDTH = 56, 256, 1280
GAP: Final = 6
MARGIN: Final = 2
_GROUND: Final = 178


def draw_reconstruction(visual: Reconstruction, preprocessing: Preprocessing) -> list[Drawing]:
    """`comparison`, which is the other three side by side; `input`, `reconstruction` and their signed `error`."""
    panels = {
        "input": _as_pixels(visual.original, preprocessing),
        "reconstruction": _as_pixels(visual.decoded, preprocessing),
        "error": diverging_table()[signed_shades(_error(visual), preprocessing.span)],
    }
    zoom = -(-PANEL_SIDE // max(visual.original.shape[:2]))
    large = {name: panel.repeat(zoom, axis=0).repeat(zoom, axis=1) for name, panel in panels.items()}
    row = _frame(list(large.values()))
    return [Drawing(name, visual.layer, pixels) for name, pixels in {"comparison": row, **large}.items()]


def draw_decoded(tiles: Tiles, preprocessing: Preprocessing) -> Drawing:
    """A sheet of pictures in the network's units, or of maps that have a sign; its columns are the tiles' own.

    Raises NotFiniteError.
    """
    if not np.isfinite(tiles.values).all():
        raise NotFiniteError("the network decodes NaN or infinity: check its weights and its preprocessing")
    columns = tiles.columns or len(tiles.values)
    side = max(MIN_TILE_SIDE, min(SHEET_WIDTH // columns, PANEL_SIDE))
    if tiles.scale == "signed":
        sheet = lay_out(tiles, columns=columns, margin=MARGIN, tile_side=side)
        return Drawing(tiles.name, tiles.layer, sheet, diverging_table())
    values = preprocessing.undo(tiles.values)
    shown = replace(tiles, values=values[..., 0] if values.shape[-1] == 1 else values)
    if tiles.words:
        return _draw_named(replace(tiles, values=values), columns)
    sheet = lay_out(shown, columns=columns, margin=MARGIN, ground=_GROUND, tile_side=side)
    return Drawing(tiles.name, tiles.layer, sheet)


def _draw_named(tiles: Tiles, columns: int) -> Drawing:
    """Pictures (n, h, w, c) in 0…1 with the names of their rows, and words below each."""
    native = max(tiles.values.shape[1:3])
    room = min(max(NAMED_SHEET_WIDTH // columns, LEAST_NAMED_SIDE), PANEL_SIDE)
    side = min(MOST_NAMED_SIDE, native * max(1, room // native))
    cells = [
        Cell(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8), words)
        for values, words in zip(tiles.values, tiles.words, strict=True)
    ]
    rows = [CellRow(name, tuple(cells[row * columns : (row + 1) * columns])) for row, name in enumerate(tiles.rows)]
    return draw_cells(CellSheet(tiles.name, tiles.layer, columns, rows, max(side, LEAST_NAMED_SIDE)), "gray")


def measure_reconstruction(visual: Reconstruction, preprocessing: Preprocessing) -> ReconstructionValues:
    """Errors over all pixels and channels, in the network's units; `psnr` is null where there is no error."""
    difference = visual.decoded.astype(np.float64) - visual.original
    mse, span = float(np.mean(difference**2)), preprocessing.span
    return ReconstructionValues(
        mse=mse,
        mae=float(np.mean(np.abs(difference))),
        psnr=10 * float(np.log10(span**2 / mse)) if mse > 0 else None,
        units=ErrorUnits(preprocessing=preprocessing.name, span=span),
        error=Bounds(min=float(difference.min()), max=float(difference.max())),
    )


def _frame(panels: Sequence[Pixels]) -> Pixels:
    """Side by side, with a frame around each."""
    height, width = panels[0].shape[:2]
    row = np.full((height + 2 * GAP, len(panels) * (width + GAP) + GAP, 3), _GROUND, np.uint8)
    for place, panel in enumerate(panels):
        left = GAP + place * (width + GAP)
        row[GAP : GAP + height, left : left + width] = panel
    return row


def _error(visual: Reconstruction) -> Array:
    """(h, w): above zero where the reconstruction is too bright; the mean over colours."""
    return np.asarray((visual.decoded - visual.original).mean(axis=2), np.float32)


def _as_pixels(values: Array, preprocessing: Preprocessing) -> Pixels:
    """(h, w, 3) uint8 RGB."""
    pixels = np.rint(np.clip(preprocessing.undo(values), 0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))
