"""Unit activations on a closed-form network: numbers worked out by hand, grids, maps, and what is refused."""

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
from service.engine.methods.layers.unit_activations import UNIT_ACTIVATIONS, UNITS, UnitActivationsParams, choose_shown
from service.engine.model import Model
from service.engine.running.request import Request
from service.errors import DatasetEmptyError, JobTooLargeError, LayerNotFoundError, NotFiniteError, UnitOutOfRangeError
from tests.unit.fakes import closed_form_model

LIMITS = ImageLimits(max_bytes=2**20, max_pixels=10**6)
WEIGHTS = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
MODEL = closed_form_model(WEIGHTS)


def _picture(*spots: tuple[int, int, int, int]) -> bytes:
    """Black, (4, 6), but for spots: row, column, channel, value."""
    pixels = np.zeros((4, 6, 3), np.uint8)
    for row, column, channel, value in spots:
        pixels[row, column, channel] = value
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


# Greatest by channel: 240, 0, 24 of the first; 48, 120, 0 of the second.
FILES = [
    ("a/one.png", _picture((1, 2, 0, 240), (0, 0, 2, 24))),
    ("b/two.png", _picture((3, 5, 1, 120), (2, 0, 0, 48))),
]


def _dataset(files: Sequence[tuple[str, bytes]]) -> Dataset:
    buffer = io.BytesIO()
    pack_dataset(files, buffer)
    return open_dataset(buffer, DatasetLimits())


def _run(files: Sequence[tuple[str, bytes]] = FILES, model: Model = MODEL, **params: Any) -> Result:
    request = Request(UNIT_ACTIVATIONS, UnitActivationsParams(**params), None, images=_dataset(files))
    return run_all(model, request, LIMITS, JobLimits(), lambda _: None)


def _pixels(result: Result, name: str) -> np.ndarray:
    data = next(image.data for image in result.images if image.name == name)
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def test_numbers_are_the_greatest_and_the_mean_when_a_layer_has_space():
    values = _run(values="raw").values
    assert (values["layer"], values["shape"], values["images"]) == ("maps", [4, 6], 2)
    assert [(item["name"], item["label"], item["greatest"]) for item in values["items"]] == [
        ("a/one.png", "a", [240, 0, 24]),
        ("b/two.png", "b", [48, 120, 0]),
    ]
    # One spot in 24 pixels.
    assert [item["mean"] for item in values["items"]] == [[10, 0, 1], [2, 5, 0]]
    assert values["units"] == [
        {"unit": 0, "mean": 6, "greatest": 240, "greatest_in": "a/one.png", "silent": False},
        {"unit": 1, "mean": 2.5, "greatest": 120, "greatest_in": "b/two.png", "silent": False},
        {"unit": 2, "mean": 0.5, "greatest": 24, "greatest_in": "a/one.png", "silent": False},
    ]


def test_numbers_of_single_pictures_are_left_out_when_nobody_asks():
    assert all(set(item) == {"index", "name", "label"} for item in _run().values["items"])


def test_grid_has_a_cell_for_each_picture_and_unit_when_it_is_drawn():
    result = _run(colormap="gray")
    assert [image.name for image in result.images] == ["maps", "greatest", "mean"]
    # Cells are 24 pixels wide and high, below the line of the units' names.
    grid = _pixels(result, "greatest")
    left = next(x for x in range(grid.shape[1]) if (grid[30, x] == 255).all() and (grid[40, x + 5] == 255).all())
    cells = grid[24 + 12 :: 24][:2]
    found = {tuple(cell) for row in cells for cell in row[left:]}
    for shade in (255, 0, round(24 / 240 * 255), round(48 / 240 * 255), round(120 / 240 * 255)):
        assert (shade,) * 3 in found


def test_columns_reach_full_colour_when_each_has_its_own_scale():
    grid = _pixels(_run(colormap="gray", scale="per_unit", units="0,1"), "greatest")
    first, second = grid[24 + 12], grid[24 + 36]
    assert {tuple(pixel) for pixel in first[-400:]} >= {(255, 255, 255), (0, 0, 0)}
    assert not np.array_equal(first, second)


def test_vector_has_one_grid_and_no_maps_when_a_layer_has_no_space():
    result = _run(layer="scores", values="raw")
    assert [image.name for image in result.images] == ["answers"]
    assert result.values["shape"] == []
    scores = result.values["items"][0]["answers"]
    # Means of 10 and 0 through a softmax.
    np.testing.assert_allclose(scores, [1 / (1 + np.exp(-10)), 1 / (1 + np.exp(10))], rtol=1e-4)


def test_units_and_maps_are_those_asked_for_when_they_are_named():
    result = _run(units="2,0", maps=1)
    assert [item["unit"] for item in result.values["units"]] == [2, 0]
    assert [image.name for image in result.images] == ["maps", "greatest", "mean"]
    one, two = (image.height for image in (result.images[0], _run(maps=2).images[0]))
    assert two == 2 * one
    assert "maps" not in [image.name for image in _run(maps=0).images]


def _many(folders: int, each: int) -> list[tuple[str, bytes]]:
    """Pictures of folders one after the other, each brighter than the one before."""
    return [
        (f"{folder:03}/{number:03}.png", _picture((1, 2, 0, 1 + folder * each + number)))
        for folder in range(folders)
        for number in range(each)
    ]


def test_maps_are_of_all_folders_when_the_first_has_more_pictures_than_are_shown():
    result = _run(_many(3, 70), maps=7, colormap="gray")
    shown = ["000/000", "000/001", "000/002", "001/000", "001/001", "002/000", "002/001"]
    assert result.values["maps"] == {"pictures": [f"{name}.png" for name in shown], "folders": 3, "of_folders": 3}
    # One scale for all, though they were seen in several slices: the brightest of those shown is 142, in the last.
    sheet = _pixels(result, "maps")
    cells = [sheet[row * 132 : row * 132 + 112] for row in range(7)]
    # The second cell is unit 0's; the picture stands before it, and rows are named at the left.
    left = sheet.shape[1] - 8 - 4 * 116 + 116
    found = [int(cell[:, left : left + 112].min(axis=-1).reshape(112, 112)[19:93].max()) for cell in cells]
    assert found == pytest.approx([value / 142 * 255 for value in (1, 2, 3, 71, 72, 141, 142)], abs=1)


def test_shown_folders_lie_evenly_when_there_are_more_than_pictures_shown():
    members = _dataset(_many(100, 2)).members
    assert sorted(choose_shown(members, 4)) == [0, 50, 100, 150]
    assert choose_shown(members, 0) == set()
    assert len(choose_shown(members, 32)) == 32


def test_folders_are_named_when_there_is_no_room_for_pictures_names():
    named, unnamed = (_pixels(_run(files), "greatest") for files in (_many(3, 70), _loose(210)))
    left = 16

    def count_ink(sheet: np.ndarray) -> int:
        return int((sheet[24:, :left].min(axis=-1) < 100).sum())

    assert count_ink(named) > 20
    assert count_ink(unnamed) == 0


def _loose(count: int) -> list[tuple[str, bytes]]:
    return [(f"{number:03}.png", _picture((1, 2, 0, number))) for number in range(count)]


def test_unit_is_silent_when_it_never_answers():
    values = _run([("a.png", _picture((0, 0, 0, 9))), ("b.png", b"?")]).values
    assert [item["unit"] for item in values["units"] if item["silent"]] == [1, 2]
    assert [item["name"] for item in values["skipped"]] == ["b.png"]


def test_whole_is_the_same_when_the_dataset_takes_several_slices():
    files = [(f"{number:03}.png", _picture((0, 0, 0, number % 250), (1, 1, 1, 7))) for number in range(130)]
    values = _run(files, values="raw").values
    assert [item["greatest"][0] for item in values["items"]] == [number % 250 for number in range(130)]
    assert values["units"][0]["greatest_in"] == "129.png"


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"units": "3"}, UnitOutOfRangeError),
        ({"units": "0-9"}, UnitOutOfRangeError),
        ({"layer": "nowhere"}, LayerNotFoundError),
    ],
)
def test_job_is_refused_before_it_runs_when_parameters_do_not_fit(params: dict[str, Any], error: type[Exception]):
    request = Request(UNIT_ACTIVATIONS, UnitActivationsParams(**params), None, images=_dataset(FILES))
    with pytest.raises(error):
        plan(MODEL, request, LIMITS, JobLimits())


def test_job_is_refused_when_it_asks_for_too_many_units():
    model = closed_form_model([[0.0] * (UNITS.most + 1)] * 3)
    request = Request(
        UNIT_ACTIVATIONS, UnitActivationsParams(layer="scores", units="all"), None, images=_dataset(FILES)
    )
    with pytest.raises(JobTooLargeError) as raised:
        plan(model, request, LIMITS, JobLimits())
    assert raised.value.field == "units"


def test_dataset_is_refused_when_none_of_its_pictures_can_be_read():
    with pytest.raises(DatasetEmptyError):
        _run([("a.png", b"?")])


def test_answer_is_refused_when_the_network_is_not_finite():
    with pytest.raises(NotFiniteError):
        _run(model=closed_form_model([[np.nan, 0.0], [0.0, 1.0], [0.0, 0.0]]), layer="scores")
