"""Heat maps over a dataset on a closed-form network: groups and mean maps, by hand."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from schemas.results import Result
from schemas.values.heatmaps import HeatmapValues
from service.engine.chunks import JobLimits, compute, run_all
from service.engine.datasets.heat_groups import HeatmapNote
from service.engine.datasets.mean_maps import resample
from service.engine.drawing.colormaps import lookup_table
from service.engine.kinds.picture_items import Items, SliceChunk
from tests.unit.fakes import ClosedFormProbe
from tests.unit.test_judging import FILES, GREEN, LIMITS, MODEL, RED, items_of, picture, png, request_for, run_dataset
from tests.unit.test_over_images import dataset


@pytest.fixture(scope="module")
def result() -> Result:
    return run_dataset(FILES)


def test_numbers_are_grouped_by_class_and_by_right_and_wrong(result: Result):
    values = result.values
    assert (values["images"], values["with_ground_truth"], values["accuracy"], values["empty"]) == (5, 4, 0.5, 1)
    assert values["object"] == {
        "images": 3,
        "energy": pytest.approx(0.5),
        "pointing": pytest.approx(2 / 3),
        "area": pytest.approx((3 + 1 + 3) / 24 / 3),
    }
    right, wrong = values["right"], values["wrong"]
    assert (right["images"], right["picture"], right["object"]["energy"]) == (2, "mean-right", pytest.approx(0.75))
    assert (wrong["images"], wrong["picture"], wrong["object"]["images"]) == (2, "mean-wrong", 1)
    red, green = values["classes"]
    assert (red["index"], red["label"], red["images"], red["accuracy"]) == (0, "dark red", 2, 0.5)
    # Of the holiday nobody knows what it shows: it is with what was explained.
    assert (green["label"], green["images"], green["with_ground_truth"], green["accuracy"]) == ("green", 3, 2, 0.5)
    assert (red["picture"], green["picture"]) == ("mean--dark-red", "mean--green")


def test_mean_maps_are_those_of_each_group_on_one_scale(result: Result):
    assert [image.name for image in result.images][:4] == ["mean-right", "mean-wrong", "mean--dark-red", "mean--green"]
    assert result.values["mean_maps"] == {"shape": [4, 6], "scale_max": pytest.approx(2 / 3)}
    expected = {name: np.zeros((4, 6)) for name in ("mean-right", "mean-wrong", "mean--dark-red", "mean--green")}
    for place in ((0, 0), (0, 1), (2, 2)):
        expected["mean-right"][place] = 1 / 2
    # Black counts as zeros.
    expected["mean-wrong"][3, 5] = 1 / 2
    for place in ((0, 0), (0, 1), (3, 5)):
        expected["mean--dark-red"][place] = 1 / 2
    expected["mean--green"][2, 2:4] = 2 / 3, 1 / 3
    for image in result.images[:4]:
        assert (image.width, image.height, image.layer) == (256, 171, "maps")
        shades = np.asarray(Image.open(io.BytesIO(image.data)))
        scaled = expected[image.name] / (2 / 3) * 255
        # The middle of each place, where nothing is mixed in beyond a hundredth.
        middle = shades[np.rint((np.arange(4) + 0.5) * 171 / 4 - 0.5).astype(int)][
            :, np.rint((np.arange(6) + 0.5) * 256 / 6 - 0.5).astype(int)
        ]
        np.testing.assert_allclose(middle, scaled, atol=6)


def test_mean_maps_have_the_colours_of_therequest_for():
    image = run_dataset(FILES[:1], colormap="viridis").images[0]
    with Image.open(io.BytesIO(image.data)) as picture:
        assert np.asarray(picture.convert("RGB"))[0, 0].tolist() == lookup_table("viridis")[255].tolist()


def test_map_of_each_picture_is_in_the_whole_when_it_is_asked_for(result: Result):
    assert {"map", "small_map"} & set(result.values["items"][0]) == set()
    item = items_of(run_dataset(FILES, values="raw"))["1/c.png"]
    assert "small_map" not in item
    assert np.asarray(item["map"]).shape == (4, 6)
    images = dataset(FILES)
    part = compute(MODEL, request_for(images), [0], LIMITS, lambda _: None)
    chunk = SliceChunk[Items[HeatmapValues, HeatmapNote]].model_validate(json.loads(json.dumps(part.values)))
    note = chunk.found.items[0].note
    assert note is not None
    assert note.small_map.shape == (4, 6)
    assert np.count_nonzero(note.small_map) == 1


def test_maps_are_divided_by_their_own_maxima_before_they_are_made_small():
    """A single place weighs as one place does, however large its layer is; not as all that it is averaged with."""
    probe = ClosedFormProbe([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], size=(128, 128))
    plain, point = np.zeros((2, 128, 128, 3), np.uint8)
    plain[64:, :, RED] = point[100, 9, RED] = 200
    images = dataset([("a.png", png(plain)), ("b.png", png(point))])
    found = run_all(replace(MODEL, probe=probe), request_for(images), LIMITS, JobLimits(), lambda _: None)
    small = [resample(np.asarray(one[..., RED] / 200, np.float32), (32, 32)) for one in (plain, point)]
    expected = np.mean(small, axis=0)
    assert found.values["mean_maps"] == {"shape": [32, 32], "scale_max": pytest.approx(expected.max(), rel=1e-5)}
    assert expected.max() < 0.6


def test_names_are_unique_when_a_file_is_called_like_a_mean_map():
    files = [("mean/Green.png", picture(GREEN, (1, 1))), ("mean-right.png", picture(RED, (1, 1)))]
    files.append(("green/x.png", picture(GREEN, (1, 1))))
    found = run_dataset(files)
    names = [image.name for image in found.images]
    assert names[:3] == ["mean-right-2", "mean--dark-red", "mean--green-2"]
    assert len({name.casefold() for name in names}) == len(names) == 6
    assert found.values["right"]["picture"] == "mean-right-2"
    assert found.values["wrong"] == {
        "images": 0,
        "picture": None,
        "with_ground_truth": 0,
        "accuracy": None,
        "empty": 0,
        "object": None,
    }
