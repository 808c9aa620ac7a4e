"""Pictures of one size to sheets of rows and columns, read one by one as they come. Knows no colours."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from service.engine.arrays import Pixels

MAX_PIXELS = 16_000_000
# As long as a JPEG can be, and more than most viewers take.
MAX_SIDE = 65_500


@dataclass(frozen=True)
class Grid:
    """Cells of `height` x `width` in `columns`, `margin` pixels between them, at most `rows` on a sheet."""

    height: int
    width: int
    columns: int
    rows: int
    margin: int

    @property
    def cells(self) -> int:
        return self.rows * self.columns


def plan_grid(size: tuple[int, int], count: int, *, columns: int, margin: int) -> Grid:
    """As many columns as asked for and as many rows as fit, so that no sheet is larger than a viewer takes."""
    height, width = size
    columns = min(columns, count, _fitting(width, margin, min(MAX_SIDE, MAX_PIXELS // height)))
    sheet_width = columns * (width + margin) - margin
    rows = _fitting(height, margin, min(MAX_SIDE, MAX_PIXELS // sheet_width))
    return Grid(height, width, columns, rows, margin)


def _fitting(side: int, margin: int, room: int) -> int:
    return max(1, (room + margin) // (side + margin))


def lay_on_sheets(names: Sequence[str], pictures: Iterable[tuple[str, Pixels]], grid: Grid) -> Iterator[Pixels]:
    """One sheet after the other; a cell whose picture does not come stays empty (0).

    `names` are those of the cells. Pictures come in their order; those of other names are passed over.
    """
    cells = {name: number for number, name in enumerate(names)}
    placed = ((cells[name], pixels) for name, pixels in pictures if name in cells)
    cell, pixels = next(placed, (None, None))
    colours: tuple[int, ...] = () if pixels is None else pixels.shape[2:]
    for first in range(0, len(names), grid.cells):
        count = min(grid.cells, len(names) - first)
        sheet = _blank(count, grid, colours)
        while cell is not None and pixels is not None and cell < first + count:
            row, column = divmod(cell - first, grid.columns)
            top, left = row * (grid.height + grid.margin), column * (grid.width + grid.margin)
            sheet[top : top + grid.height, left : left + grid.width] = pixels
            cell, pixels = next(placed, (None, None))
        yield sheet


def _blank(count: int, grid: Grid, colours: tuple[int, ...]) -> Pixels:
    rows, columns = -(-count // grid.columns), grid.columns
    height = rows * (grid.height + grid.margin) - grid.margin
    return np.zeros((height, columns * (grid.width + grid.margin) - grid.margin, *colours), np.uint8)
