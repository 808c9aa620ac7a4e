"""Top images on a closed-form network: who wins, where, and what is cut out, worked out by hand."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from schemas.results import Result
from service.engine.chunks import JobLimits, plan, run_all
from service.engine.images.archive import Dataset, DatasetLimits, open_dataset, pack_dataset
from service.engine.images.decoding import ImageLimits
from service.engine.methods.layers.top_images import TOP_IMAGES, UNITS, TopImagesParams
from service.engine.model import Model
from service.engine.ports.answers import ReceptiveField
from service.engine.running.request import Request
from service.errors import DatasetEmptyError, JobTooLargeError, LayerNotFoundError, NotFiniteError, UnitOutOfRangeError
from tests.unit.closed_form import even_field
from tests.unit.fakes import ClosedFormProbe, closed_form_model

LIMITS = ImageLimits(max_bytes=2**20, max_pixels=10**6)
WEIGHTS = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
# Of a sheet: a cell's side with the gap, and the line below.
SIDE, GAP, LINE = 112, 4, 16


class FieldProbe(ClosedFormProbe):
    """Sees what it is told to see."""

    def __init__(self, window: int | None) -> None:
        super().__init__(WEIGHTS)
        self.window = window

    def receptive_field(self, layer: str, size: tuple[int, int]) -> ReceptiveField | None:
        return None if self.window is None else even_field(size, self.window)


MODEL = closed_form_model(WEIGHTS, probe=FieldProbe(3))


def _picture(*spots: tuple[int, int, int, int]) -> bytes:
    """Black, (4, 6), but for spots: row, column, channel, value."""
    pixels = np.zeros((4, 6, 3), np.uint8)
    for row, column, channel, value in spots:
        pixels[row, column, channel] = value
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


FILES = [
    ("a/one.png", _picture((1, 2, 0, 240), (0, 0, 1, 24))),
    ("b/three.png", _picture((2, 3, 0, 240))),
    ("b/two.png", _picture((3, 5, 1, 120), (2, 0, 0, 248))),
]


def _dataset(files: Sequence[tuple[str, bytes]]) -> Dataset:
    buffer = io.BytesIO()
    pack_dataset(files, buffer)
    return open_dataset(buffer, DatasetLimits())


def _run(files: Sequence[tuple[str, bytes]] = FILES, model: Model = MODEL, **params: Any) -> Result:
    request = Request(TOP_IMAGES, TopImagesParams(**params), None, images=_dataset(files))
    return run_all(model, request, LIMITS, JobLimits(), lambda _: None)


def _pixels(result: Result, name: str) -> np.ndarray:
    data = next(image.data for image in result.images if image.name == name)
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def test_winners_are_in_order_with_their_places_when_a_unit_has_some():
    result = _run()
    assert result.values["layer"] == "maps"
    first, second, third = result.values["units"]
    assert first["images"] == [
        {"index": 2, "name": "b/two.png", "value": 248, "position": [2, 0], "patch": [1, -1, 4, 2]},
        {"index": 0, "name": "a/one.png", "value": 240, "position": [1, 2], "patch": [0, 1, 3, 4]},
        {"index": 1, "name": "b/three.png", "value": 240, "position": [2, 3], "patch": [1, 2, 4, 5]},
    ]
    assert [(item["name"], item["value"]) for item in second["images"]] == [("b/two.png", 120), ("a/one.png", 24)]
    assert (third["unit"], third["images"]) == (2, [])
    assert [image.name for image in result.images] == ["patches", "images"]


def test_patch_is_what_the_unit_sees_when_it_reaches_beyond_the_picture():
    sheet = _pixels(_run(units="0", top=1), "patches")
    left = sheet.shape[1] - SIDE - GAP - 8
    cell = sheet[:SIDE, left : left + SIDE]
    pixels = cell[SIDE // 6 :: SIDE // 3, SIDE // 6 :: SIDE // 3][:3, :3]
    expected = np.zeros((3, 3, 3), np.uint8)
    expected[:, 0] = 128
    expected[1, 1, 0] = 248
    np.testing.assert_array_equal(pixels, expected)


def test_sheets_have_a_row_for_each_unit_when_some_are_chosen():
    result = _run(units="2,0", top=2)
    assert [item["unit"] for item in result.values["units"]] == [2, 0]
    assert [len(item["images"]) for item in result.values["units"]] == [0, 2]
    # The silent unit's row has no words below.
    assert {image.height for image in result.images} == {2 * (SIDE + GAP) + LINE}


def test_best_are_the_same_when_the_dataset_takes_several_slices():
    files = [(f"{number:03}.png", _picture((0, 0, 0, number % 100 + 1))) for number in range(150)]
    (unit,) = _run(files, units="0", top=3).values["units"]
    assert [(item["index"], item["value"]) for item in unit["images"]] == [(99, 100), (98, 99), (97, 98)]


def test_whole_picture_is_the_patch_when_the_unit_sees_more_than_that():
    model = closed_form_model(WEIGHTS, probe=FieldProbe(9))
    (unit,) = _run(model=model, units="0", top=1).values["units"]
    assert unit["images"][0]["patch"] == [0, 0, 4, 6]


def test_patch_is_three_steps_wide_when_the_receptive_field_is_unknown():
    (unit,) = _run(model=closed_form_model(WEIGHTS, probe=FieldProbe(None)), units="0", top=1).values["units"]
    assert unit["images"][0]["patch"] == [1, -1, 4, 2]


def test_there_are_no_patches_when_a_layer_has_no_space():
    result = _run(layer="scores", top=1)
    assert [image.name for image in result.images] == ["images"]
    # Means of channels 0 and 1 differ most in favour of the first in `three`, whose only spot is of channel 0.
    assert [item["images"][0]["name"] for item in result.values["units"]] == ["b/three.png", "b/two.png"]
    assert all(item["images"][0]["patch"] is None for item in result.values["units"])


def test_broken_picture_is_passed_over_when_the_rest_goes_on():
    values = _run([*FILES, ("c.png", b"?")]).values
    assert (values["images"], [item["name"] for item in values["skipped"]]) == (3, ["c.png"])


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"units": "3"}, UnitOutOfRangeError),
        ({"layer": "nowhere"}, LayerNotFoundError),
    ],
)
def test_job_is_refused_before_it_runs_when_parameters_do_not_fit(params: dict[str, Any], error: type[Exception]):
    with pytest.raises(error):
        plan(MODEL, Request(TOP_IMAGES, TopImagesParams(**params), None, images=_dataset(FILES)), LIMITS, JobLimits())


def test_job_is_refused_when_it_asks_for_too_many_units():
    model = closed_form_model([[0.0] * (UNITS.most + 1)] * 3)
    request = Request(TOP_IMAGES, TopImagesParams(layer="scores", units="all"), None, images=_dataset(FILES))
    with pytest.raises(JobTooLargeError):
        plan(model, request, LIMITS, JobLimits())


def test_dataset_is_refused_when_none_of_its_pictures_can_be_read():
    with pytest.raises(DatasetEmptyError):
        _run([("a.png", b"?")])


def test_answer_is_refused_when_the_network_is_not_finite():
    with pytest.raises(NotFiniteError):
        _run(model=closed_form_model([[np.nan, 0.0], [0.0, 1.0], [0.0, 0.0]]), layer="scores")
