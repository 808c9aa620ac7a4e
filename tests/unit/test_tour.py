"""What the golden tour keeps of an answer, and which differences it finds between two."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.tour.comparing import Comparison
from tests.tour.files import read, write
from tests.tour.reading import Record, record
from tests.tour.variations import Layers, vary

LAYERS = Layers(("conv1", "conv2"), (1, 2))
NAME = "http shapes/predictions"


def _png(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def _answer(score: float = 0.5, *, member: str = "score", colour: tuple[int, int, int] = (9, 9, 9)) -> Record:
    body = {"id": object(), "values": {member: [score, None], "zero": -0.0}, "many": [score, *range(9)], "label": "set"}
    return record(200, body, {"overlay": _png(colour)})


def _differences(old: Record, new: Record, **options: Any) -> list[str]:
    return list(Comparison(**options).differences({NAME: old}, {NAME: new}))


@pytest.mark.parametrize(
    ("changed", "found"),
    [(_answer(), 0), (_answer(0.50001), 2), (_answer(colour=(9, 9, 10)), 1), (_answer() | {"status": 404}, 1)],
    ids=["nothing", "number", "picture", "status"],
)
def test_every_change_is_found_when_two_tours_are_of_one_machine(changed: Record, found: int):
    assert len(_differences(_answer(), changed)) == found


@pytest.mark.parametrize(
    ("changed", "found"),
    [(_answer(0.50001, colour=(9, 9, 10)), 0), (_answer(0.8), 2), (_answer(colour=(90, 9, 9)), 1)],
    ids=["last digits", "number", "picture"],
)
def test_large_changes_alone_are_found_when_a_tolerance_is_given(changed: Record, found: int):
    assert len(_differences(_answer(), changed, tolerance=1e-3)) == found


def test_renamed_members_and_words_are_the_same_when_they_are_named():
    old, new = _answer(), _answer(member="chance")
    assert len(_differences(old, new)) == 4
    assert not _differences(old, new, renamed={"values.score": "values.chance"})
    words = _differences(old, new, renamed={"score": "chance", "set": "dataset"})
    assert [line for line in words if "dataset" in line] == words != []


def test_questions_that_came_or_went_are_differences():
    lines = Comparison().differences({NAME: _answer()}, {"http glyphs/predictions": _answer()})
    assert len(list(lines)) == 2


def test_records_are_the_same_when_they_are_read_from_their_file(tmp_path: Path):
    records = {
        NAME: _answer(),
        f"{NAME}/top=3": _answer(0.7),
        f"{NAME}/as a job": record(200, {"values": {"zero": 0}}, {}),
    }
    write(tmp_path / "tour.json", records)
    assert read(tmp_path / "tour.json") == records


def test_each_choice_is_asked_but_the_default():
    schema = {"enum": ["none", "raw", "all"], "default": "none"}
    assert list(vary("values", schema, LAYERS, every_choice=True)) == [{"values": "raw"}, {"values": "all"}]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "default": 16, "minimum": 1}, 8),
        ({"type": "integer", "default": 0}, 1),
        ({"type": "number", "default": 0.4}, 0.2),
        ({"type": "boolean", "default": True}, False),
        ({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None}, 1),
        ({"anyOf": [{"type": "string"}, {"type": "array"}], "default": "all"}, "0-1"),
        ({"type": "integer", "default": 5, "examples": [3]}, 3),
    ],
)
def test_value_differs_from_the_default_when_a_parameter_is_new(schema: dict[str, Any], value: object):
    assert list(vary("new", schema, LAYERS, every_choice=True)) == [{"new": value}]


def test_parameter_is_refused_when_no_value_can_be_guessed():
    with pytest.raises(ValueError, match="'new': give its field an example"):
        list(vary("new", {"type": "string", "default": ""}, LAYERS, every_choice=True))
