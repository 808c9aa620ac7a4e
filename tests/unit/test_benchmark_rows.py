"""The benchmark's own arithmetic: turns, and goals."""

from collections.abc import Callable

import pytest

from tests.benchmark.rows import Row, Table, at_least, at_most
from tests.benchmark.turns import medians, take_turns


def test_turns_go_backwards_when_a_round_is_odd():
    called: list[str] = []

    def contender(name: str) -> Callable[[int], float]:
        def run(number: int) -> float:
            called.append(f"{name}{number}")
            return float(number)

        return run

    taken = take_turns({"a": contender("a"), "b": contender("b")}, 3, warm_up=1)
    assert called == ["b0", "a0", "a1", "b1", "b2", "a2", "a3", "b3"]
    assert taken == {"a": [1, 2, 3], "b": [1, 2, 3]}
    assert medians(taken) == {"a": 2, "b": 2}


def test_a_contender_sits_rounds_out_when_it_is_slow():
    taken = take_turns({"a": float, "slow": float}, 5, warm_up=1, seldom={"slow": 2})
    assert taken == {"a": [1, 2, 3, 4, 5], "slow": [1, 3, 5]}


@pytest.mark.parametrize(
    ("row", "holds"),
    [
        (Row("ratio", 1.1, at_most(1.12)), True),
        (Row("ratio", 1.13, at_most(1.12)), False),
        (Row("ratio", 5, at_least(5)), True),
        (Row("ratio", 4.9, at_least(5)), False),
        (Row("ratio", 4.9), None),
        (Row("ratio", None, at_least(5), "not installed"), None),
    ],
)
def test_a_row_holds_when_its_figure_is_on_the_goals_side(row: Row, *, holds: bool | None):
    assert row.holds is holds
    assert row.describe()["holds"] is holds


def test_a_table_says_what_was_skipped():
    lines: list[str] = []
    table = Table(lines.append)
    table.add(Row("theirs ÷ ours", None, at_least(3), "not installed"))
    table.add(Row("ours ÷ floor", 0.5, at_most(1)))
    table.close()
    assert lines == [
        "| theirs ÷ ours | skipped | at least 3 |  | not installed |",
        "| ours ÷ floor | 0.5 | at most 1 | yes |  |",
        "\n1 of 1 goals hold",
        "1 rows skipped",
    ]
