"""Ranges and lists of channels, pages of them, and how they may be written."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.references import LayerReferences, Selection
from service.engine.methods.channel_selection import select, turn_to
from service.errors import ChannelOutOfRangeError, PageOutOfRangeError


@pytest.mark.parametrize(
    ("selection", "expected"),
    [("3", [3]), ("0,5", [0, 5]), ("0-3", [0, 1, 2, 3]), ("5,0-2,1", [5, 0, 1, 2]), ("all", list(range(8)))],
)
def test_indices_come_in_the_order_given_when_selected(selection: str, expected: list[int]):
    assert select(selection, 8, ChannelOutOfRangeError) == expected


@pytest.mark.parametrize("selection", ["8", "0-8", "3-2", "999999999-999999999", "0-999999999"])
def test_selection_is_refused_when_it_leaves_the_range(selection: str):
    with pytest.raises(ChannelOutOfRangeError, match="there are 8, counted from 0 to 7"):
        select(selection, 8, ChannelOutOfRangeError)


def test_pages_cover_all_when_turned():
    pages = [turn_to(number, 4, list(range(10))) for number in (1, 2, 3)]
    assert [page.indices for page in pages] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert {page.count for page in pages} == {3}
    with pytest.raises(PageOutOfRangeError, match="there are 3"):
        turn_to(4, 4, list(range(10)))


@pytest.mark.parametrize(
    ("given", "text"), [(3, "3"), ([0, 5], "0,5"), ("0-63", "0-63"), (" 1, 2 ", "1,2"), ("all", "all")]
)
def test_selection_reads_the_same_when_it_comes_as_json_or_form(given: Any, text: str):
    assert TypeAdapter(Selection).validate_python(given) == text


@pytest.mark.parametrize("given", ["", "a", "-1", "1-", "1--2", "1,,2", 1.5, [1.5], [[1]], None, "1;2", "9" * 10, True])
def test_selection_is_refused_when_it_makes_no_sense(given: Any):
    with pytest.raises(ValidationError):
        TypeAdapter(Selection).validate_python(given)


@pytest.mark.parametrize(("given", "layers"), [("a, b/c", ["a", "b/c"]), (["a", 3], ["a", "3"]), (7, ["7"]), ("", [])])
def test_layers_read_the_same_when_they_come_as_json_or_form(given: Any, layers: list[str]):
    assert TypeAdapter(LayerReferences).validate_python(given) == layers
