"""Plain text tables for the terminal."""

from collections.abc import Sequence

from schemas.sentences import visible


def draw_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] | set[int] = frozenset()
) -> str:
    """Columns as wide as their longest cell, those of `right` aligned to the right; no line ends in blanks.

    Names in the cells are foreign: none has a line feed or an escape in it.
    """
    rows = [list(map(visible, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(_line(row, widths, right) for row in [head, rule, *rows])


def _line(cells: Sequence[str], widths: Sequence[int], right: frozenset[int] | set[int]) -> str:
    padded = [
        cell.rjust(width) if index in right else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()
