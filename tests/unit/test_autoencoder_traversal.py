"""Traversal on an autoencoder whose latent is the mean of each channel, decoded as flat pictures."""

from typing import Any

import numpy as np
import pytest

from schemas.results import Result
from service.engine.chunks import JobLimits, plan, run_all
from service.engine.drawing.png import decode_png
from service.engine.drawing.visuals import Tiles
from service.engine.images.decoding import ImageLimits
from service.engine.kinds.context import Batch, Context, Reduction
from service.engine.methods import METHODS
from service.engine.methods.autoencoders.traversal import (
    AutoencoderTraversalParams,
    autoencoder_traversal,
    reduce,
)
from service.engine.parameters import InvalidParametersError, validate
from service.engine.running.request import Request
from service.errors import PictureOutOfRangeError, UnitOutOfRangeError
from tests.unit.fakes import autoencoder_model
from tests.unit.test_autoencoder_latents import flat
from tests.unit.test_over_images import dataset

LIMITS = ImageLimits(2**20, 10**6)
METHOD = METHODS["autoencoder-traversal"]
COLOURS = [(0, 100, 7), (50, 120, 7), (200, 110, 7)]


def _request(**params: Any) -> Request:
    images = dataset([(f"{number}.png", flat(colour)) for number, colour in enumerate(COLOURS)])
    return Request(METHOD, METHOD.params.model_validate(params), None, images=images)


def _run(**params: Any) -> Result:
    return run_all(autoencoder_model(), _request(**params), LIMITS, JobLimits(), lambda _: None)


def _cells(result: Result, name: str, columns: int) -> np.ndarray:
    """The middle colour of each cell: (rows, columns, 3)."""
    sheet = decode_png(next(image.data for image in result.images if image.name == name))
    # Pictures of 6 x 4 in squares of 138, with words below; the names of rows stand at the left.
    left, width, height = sheet.shape[1] - 8 - columns * 142, 142, 138 + 4 + 16
    return np.array(
        [
            [sheet[row * height + 69, left + column * width + 69] for column in range(columns)]
            for row in range(sheet.shape[0] // height)
        ]
    )


def test_one_unit_moves_and_the_others_stay_when_it_is_traversed():
    result = _run(units="0,1", steps=3, low=10, high=210)
    means = np.mean(COLOURS, axis=0).round()
    expected = np.array(
        [[[value, *means[1:]] for value in (10, 110, 210)], [[means[0], value, 7] for value in (10, 110, 210)]]
    )
    np.testing.assert_array_equal(_cells(result, "traversal", 3), expected)
    assert result.values["range"] == "as asked"
    assert result.values["values"] == [[10, 110, 210], [10, 110, 210]]
    assert [image.name for image in result.images] == ["traversal"]


def test_sheet_says_which_unit_each_row_is_of_and_what_value_each_tile_has():
    images = dataset([(f"{number}.png", flat(colour)) for number, colour in enumerate(COLOURS)])
    model = autoencoder_model()
    parts = [run_all(model, _request(), LIMITS, JobLimits(), lambda _: None)]
    assert len(parts[0].values["values"]) == len(parts[0].values["units"])
    batches = [Batch(images.members, np.array([np.full((4, 6, 3), colour) for colour in COLOURS], np.float32))]
    params = AutoencoderTraversalParams(units="1", steps=3, low=-5, high=5.5, between="0,2")
    found = autoencoder_traversal(model.probe, iter(batches), params, Context(model.preprocessing, print, [0]))
    reduction = Reduction(model.probe, model.preprocessing, print)
    sheet, way = reduce([found.numbers], reduction, params).visuals
    assert isinstance(sheet, Tiles)
    assert isinstance(way, Tiles)
    assert (sheet.rows, sheet.words) == (("unit 1",), ("-5", "0.25", "5.5"))
    assert way.words == ("0.png", "0%", "50%", "100%", "2.png")


def test_range_is_that_of_the_dataset_when_none_is_asked_for():
    values = _run().values
    assert values["units"] == [0, 1, 2]
    assert values["low"] == pytest.approx(np.percentile(COLOURS, 1, axis=0))
    assert values["high"] == pytest.approx(np.percentile(COLOURS, 99, axis=0))
    assert values["std"] == pytest.approx(np.std(COLOURS, axis=0))


def test_way_is_straight_between_the_pictures_themselves():
    result = _run(steps=3, between="2,0")
    (row,) = _cells(result, "interpolation", 5)
    assert row.tolist() == [[200, 110, 7], [200, 110, 7], [100, 105, 7], [0, 100, 7], [0, 100, 7]]
    about = result.values["interpolation"]
    assert [end["name"] for end in about["between"]] == ["2.png", "0.png"]
    assert about["distance"] == pytest.approx(np.hypot(200, 10))


def test_request_is_refused_when_a_unit_or_picture_does_not_exist():
    with pytest.raises(UnitOutOfRangeError, match="there are 3"):
        plan(autoencoder_model(), _request(units="3"), LIMITS, JobLimits())
    with pytest.raises(PictureOutOfRangeError, match="picture 3 is not in this dataset"):
        _run(between="0,3")


@pytest.mark.parametrize(
    "given", [{"low": 1}, {"low": 2, "high": 1}, {"between": "1"}, {"between": "1,b"}, {"steps": 1}, {"units": "x"}]
)
def test_parameters_are_refused_when_they_make_no_sense(given: dict[str, Any]):
    with pytest.raises(InvalidParametersError):
        validate(METHOD.params, given)
