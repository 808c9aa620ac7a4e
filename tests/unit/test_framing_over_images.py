"""Datasets whose pictures are cut or padded: boxes and mean maps lie where the picture does."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from schemas.models import Fit
from schemas.results import Result
from schemas.values.heatmaps import HeatmapValues
from service.engine.arrays import Array, Pixels
from service.engine.chunks import JobLimits, compute, run_all
from service.engine.datasets.heat_groups import HeatmapNote
from service.engine.datasets.mean_maps import MAX_SIDE
from service.engine.images.framing import frame
from service.engine.kinds.picture_items import Items, SliceChunk
from tests.unit.fakes import ClosedFormProbe, closed_form_model
from tests.unit.test_judging import LIMITS, items_of, png, request_for
from tests.unit.test_over_images import dataset

WEIGHTS = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
SIDE = 60
Box = tuple[int, int, int, int]


def _run(pictures: dict[str, tuple[Pixels, Box]], fit: Fit, input_size: tuple[int, int]) -> Result:
    """Each picture with its object's box (top, left, bottom, right), as Pascal VOC has it."""
    files: list[tuple[str, bytes]] = []
    for name, (pixels, box) in pictures.items():
        files += [(f"red/{name}.png", png(pixels)), (f"annotations/red/{name}.xml", _voc(pixels, box))]
    probe = ClosedFormProbe(WEIGHTS, size=input_size)
    model = replace(closed_form_model(WEIGHTS, labels=("red", "green"), probe=probe), fit=fit)
    return run_all(model, request_for(dataset(files)), LIMITS, JobLimits(), lambda _: None)


def _voc(pixels: Pixels, box: Box) -> bytes:
    top, left, bottom, right = box
    edges = f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
    size = f"<size><width>{pixels.shape[1]}</width><height>{pixels.shape[0]}</height></size>"
    thing = f"<object><name>red</name><bndbox>{edges}</bndbox></object>"
    return f"<annotation>{size}{thing}</annotation>".encode()


def _with_square(size: tuple[int, int], box: Box) -> Pixels:
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[box[0] : box[2], box[1] : box[3], 0] = 200
    return pixels


def _object(result: Result, name: str) -> dict[str, Any]:
    found: dict[str, Any] = items_of(result)[f"red/{name}.png"]["object"]
    return found


# In the middle of a picture that lies and of one that stands.
@pytest.mark.parametrize(("size", "box"), [((SIDE, 100), (20, 40, 40, 60)), ((100, SIDE), (40, 20, 60, 40))])
def test_box_is_measured_as_by_hand_when_the_picture_is_cut(size: tuple[int, int], box: Box):
    top, left, bottom, right = frame("crop", size, (SIDE, SIDE)).taken
    picture = _with_square(size, box)
    window = np.ascontiguousarray(picture[top:bottom, left:right])
    cut = (box[0] - top, box[1] - left, box[2] - top, box[3] - left)
    by_hand = _run({"a": (window, cut)}, "stretch", (SIDE, SIDE))
    found = _object(_run({"a": (picture, box)}, "crop", (SIDE, SIDE)), "a")
    assert found == _object(by_hand, "a")
    assert found["energy"] == pytest.approx(1)
    assert found["area"] == pytest.approx(400 / SIDE**2)


@pytest.mark.parametrize(("size", "box"), [((36, SIDE), (6, 10, 16, 30)), ((SIDE, 36), (10, 6, 30, 16))])
def test_box_is_measured_over_the_picture_when_it_is_padded(size: tuple[int, int], box: Box):
    """Nothing is resized: the heat is the object, and the border counts neither as picture nor as heat."""
    found = _object(_run({"a": (_with_square(size, box), box)}, "pad", (SIDE, SIDE)), "a")
    assert found["energy"] == pytest.approx(1)
    assert found["pointing"] is True
    assert found["area"] == pytest.approx(200 / (36 * SIDE))


def test_box_has_no_heat_when_the_network_did_not_see_it():
    box = (0, 0, SIDE, 15)
    picture = _with_square((SIDE, 100), box)
    picture[30, 50, 0] = 90
    found = _object(_run({"a": (picture, box)}, "crop", (SIDE, SIDE)), "a")
    assert (found["energy"], found["pointing"], found["area"]) == (0, False, 0)


def _keep(picture: Pixels, fit: Fit, input_size: tuple[int, int]) -> Array:
    """The small map that goes into the mean maps."""
    model = replace(closed_form_model(WEIGHTS, probe=ClosedFormProbe(WEIGHTS, size=input_size)), fit=fit)
    request = request_for(dataset([("red/a.png", png(picture))]))
    part = compute(model, request, [0], LIMITS, lambda _: None)
    chunk = SliceChunk[Items[HeatmapValues, HeatmapNote]].model_validate(part.values)
    note = chunk.found.items[0].note
    assert note is not None
    return note.small_map


def test_mean_map_has_heat_in_the_window_alone_when_pictures_are_cut():
    """Red all over, and the network saw the half in the middle."""
    kept = _keep(np.full((SIDE, 2 * SIDE, 3), (200, 0, 0), np.uint8), "crop", (8, 8))
    assert kept.shape == (MAX_SIDE // 2, MAX_SIDE)
    assert kept[:, 9:23].min() == pytest.approx(1)
    assert kept[:, :7].max() == kept[:, 25:].max() == 0


def test_mean_map_lies_over_the_picture_when_it_is_padded():
    """The lower half of a lying picture: of the input it is the second quarter from below."""
    picture = np.zeros((30, SIDE, 3), np.uint8)
    picture[15:, :, 0] = 200
    kept = _keep(picture, "pad", (SIDE, SIDE))
    assert kept.shape == (MAX_SIDE // 2, MAX_SIDE)
    assert kept[:7].max() == pytest.approx(0, abs=1e-6)
    assert kept[9:].min() == pytest.approx(1)
