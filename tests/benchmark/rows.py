"""A row of the table: a figure, its goal, and whether it holds."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Goal:
    """`at least` or `at most` a limit."""

    side: Literal["at least", "at most"]
    limit: float

    def holds(self, figure: float) -> bool:
        return figure >= self.limit if self.side == "at least" else figure <= self.limit

    def __str__(self) -> str:
        return f"{self.side} {self.limit:g}"


def at_least(limit: float) -> Goal:
    return Goal("at least", limit)


def at_most(limit: float) -> Goal:
    return Goal("at most", limit)


@dataclass(frozen=True)
class Row:
    """`figure` is a ratio, or None where nothing could be measured, which `note` explains."""

    what: str
    figure: float | None
    goal: Goal | None = None
    note: str = ""
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool | None:
        return None if self.goal is None or self.figure is None else self.goal.holds(self.figure)

    def describe(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"goal": str(self.goal) if self.goal else None, "holds": self.holds}


class Table:
    """Prints rows as they come to be, and keeps them."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.rows: list[Row] = []
        self._tell = tell

    def head(self, title: str) -> None:
        self._tell(f"\n## {title}\n\n| what | figure | goal | holds | measured |\n| --- | --- | --- | --- | --- |")

    def add(self, row: Row) -> None:
        self.rows.append(row)
        figure = "skipped" if row.figure is None else f"{row.figure:.3g}"
        verdict = {None: "", True: "yes", False: "**no**"}[row.holds]
        self._tell(f"| {row.what} | {figure} | {row.goal or ''} | {verdict} | {row.note} |")

    def close(self) -> None:
        """Say how many goals hold."""
        judged = [row for row in self.rows if row.holds is not None]
        if judged:
            self._tell(f"\n{sum(bool(row.holds) for row in judged)} of {len(judged)} goals hold")
        if skipped := [row for row in self.rows if row.figure is None]:
            self._tell(f"{len(skipped)} rows skipped")
