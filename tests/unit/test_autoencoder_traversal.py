"""Traversal on an autoencoder whose code is the mean of each channel, painted as flat pictures."""

from typing import Any

import numpy as np
import pytest

from schemas.results import Result
from service.engine.chunks import JobLimits, plan, run_all
from service.engine.images import ImageLimits
from service.engine.methods import METHODS
from service.engine.parameters import InvalidParametersError, validate
from service.engine.png import decode_png
from service.engine.run import Request
from service.errors import PictureOutOfRangeError, UnitOutOfRangeError
from tests.unit.fakes import autoencoder_model
from tests.unit.test_autoencoder_latents import flat
from tests.unit.test_over_images import image_set

LIMITS = ImageLimits(2**20, 10**6)
METHOD = METHODS["autoencoder-traversal"]
COLOURS = [(0, 100, 7), (50, 120, 7), (200, 110, 7)]


def _request(**params: Any) -> Request:
    images = image_set([(f"{number}.png", flat(colour)) for number, colour in enumerate(COLOURS)])
    return Request(METHOD, METHOD.params.model_validate(params), None, images=images)


def _run(**params: Any) -> Result:
    return run_all(autoencoder_model(), _request(**params), LIMITS, JobLimits(), lambda _: None)


def _cells(result: Result, name: str, columns: int) -> np.ndarray:
    """The middle colour of each cell: (rows, columns, 3)."""
    sheet = decode_png(next(image.data for image in result.images if image.name == name))
    width = (sheet.shape[1] + 2) / columns
    height = width * 4 / 6
    rows = round(sheet.shape[0] / height)
    return np.array(
        [
            [sheet[int((row + 0.4) * height), int((column + 0.4) * width)] for column in range(columns)]
            for row in range(rows)
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
    assert [image.name for image in result.images] == ["traversal"]


def test_range_is_that_of_the_set_when_none_is_asked_for():
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
    with pytest.raises(PictureOutOfRangeError, match="picture 3 is not in this set"):
        _run(between="0,3")


@pytest.mark.parametrize(
    "given", [{"low": 1}, {"low": 2, "high": 1}, {"between": "1"}, {"between": "1,b"}, {"steps": 1}, {"units": "x"}]
)
def test_parameters_are_refused_when_they_make_no_sense(given: dict[str, Any]):
    with pytest.raises(InvalidParametersError):
        validate(METHOD.params, given)
