"""Pictures of a dataset on a closed-form network: what it shows, and how much of the heat is in the object, by hand.

The network's map of class 0 is the picture's red, that of class 1 its green, and the brighter of both is its answer.
"""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from schemas.results import Result
from service.cli.contact_sheet import describe_dataset
from service.engine.chunks import JobLimits, plan, run_all
from service.engine.images.archive import Dataset
from service.engine.images.decoding import ImageLimits
from service.engine.methods import METHODS
from service.engine.running.request import Request
from service.errors import AnnotationInvalidError
from service.models.labels import read_labels
from tests.unit.fakes import closed_form_model
from tests.unit.test_over_images import dataset

LIMITS = ImageLimits(max_bytes=2**20, max_pixels=10**6)
MODEL = closed_form_model([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], labels=("dark red", "green"))
RED, GREEN = 0, 1


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def picture(channel: int, *places: tuple[int, int]) -> bytes:
    pixels = np.zeros((4, 6, 3), np.uint8)
    for place in places:
        pixels[(*place, channel)] = 200
    return png(pixels)


def _mask(*places: tuple[int, int]) -> bytes:
    pixels = np.zeros((4, 6), np.uint8)
    for place in places:
        pixels[place] = 255
    return png(pixels)


FILES = [
    ("Dark_Red/a.png", picture(RED, (0, 0), (0, 1))),
    ("Dark_Red/b.png", picture(GREEN, (3, 5))),
    ("1/c.png", picture(GREEN, (2, 2))),
    ("holiday/d.png", picture(GREEN, (2, 2), (2, 3))),
    ("green/black.png", picture(GREEN)),
    ("masks/Dark_Red/a.png", _mask((0, 0), (1, 0), (2, 0))),
    ("masks/1/c.png", _mask((2, 2))),
    ("masks/green/black.png", _mask((0, 0), (0, 1), (0, 2))),
]


def request_for(images: Dataset, **params: Any) -> Request:
    method = METHODS["grad-cam"]
    return Request(method, method.params.model_validate(params), None, images=images)


def run_dataset(files: list[tuple[str, bytes]], **params: Any) -> Result:
    return run_all(MODEL, request_for(dataset(files), **params), LIMITS, JobLimits(), lambda _: None)


@pytest.fixture(scope="module")
def result() -> Result:
    return run_dataset(FILES)


def items_of(result: Result) -> dict[str, Any]:
    return {item["name"]: item for item in result.values["items"]}


def test_answer_is_judged_by_the_name_of_the_folder(result: Result):
    judged = {name: (item["ground_truth"], item["right"]) for name, item in items_of(result).items()}
    red, green = {"index": 0, "label": "dark red"}, {"index": 1, "label": "green"}
    assert judged == {
        "Dark_Red/a.png": (red, True),
        "Dark_Red/b.png": (red, False),
        "1/c.png": (green, True),
        "holiday/d.png": (None, None),
        # Equal scores: the first class is the answer.
        "green/black.png": (green, False),
    }


def test_predictions_over_labelled_pictures_have_an_accuracy():
    method = METHODS["predictions"]
    request = Request(method, method.params.model_validate({}), None, images=dataset(FILES))
    found = run_all(MODEL, request, LIMITS, JobLimits(), lambda _: None)
    assert (found.values["with_ground_truth"], found.values["accuracy"]) == (4, 0.5)
    assert found.values["classes"] == [
        {"index": 0, "label": "dark red", "images": 2, "with_ground_truth": 2, "accuracy": 0.5},
        {"index": 1, "label": "green", "images": 2, "with_ground_truth": 2, "accuracy": 0.5},
    ]
    assert describe_dataset(found) == "5 pictures, 50.0% of 4 answers right, folders that name no class: holiday"
    items = items_of(found)
    assert items["Dark_Red/b.png"]["right"] is False
    assert "object" not in items["Dark_Red/b.png"]


@pytest.mark.parametrize("data", ["\ufeffdark red\r\ngreen\r\n", "0 dark red\n1 green\n"])
def test_folders_name_classes_when_labels_are_as_other_programs_write_them(tmp_path: Path, data: str):
    (tmp_path / "labels.txt").write_bytes(data.encode())
    method = METHODS["predictions"]
    request = Request(method, method.params.model_validate({}), None, images=dataset(FILES[:2]))
    model = replace(MODEL, labels=read_labels("labels.txt", tmp_path))
    assert run_all(model, request, LIMITS, JobLimits(), lambda _: None).values["with_ground_truth"] == 2


def test_folders_are_told_when_they_name_no_class(result: Result):
    assert result.values["unmatched_labels"] == [{"label": "holiday", "images": 1}]
    found = run_dataset([("a.png", FILES[0][1]), ("b/c.png", FILES[0][1]), ("b/d.png", FILES[0][1]), FILES[0]])
    assert found.values["unmatched_labels"] == [{"label": "b", "images": 2}]


def test_files_are_skipped_by_name_when_they_look_like_pictures():
    found = run_dataset([*FILES, ("green/e.heic", b"?"), ("holiday/f.CR2", b"?"), ("notes.txt", b"?")])
    assert [(item["name"], item["code"]) for item in found.values["skipped"]] == [
        ("green/e.heic", "image_invalid"),
        ("holiday/f.CR2", "image_invalid"),
    ]
    assert found.values["images"] == 5


def test_crowds_are_counted_when_they_are_left_out():
    marks = [{"image_id": 1, "bbox": [0, 0, 1, 1], "iscrowd": 1}, {"image_id": 1, "bbox": [0, 0, 1, 1]}]
    notes = {"images": [{"id": 1, "file_name": "Dark_Red/a.png"}], "annotations": marks}
    found = run_dataset([*FILES[:2], ("i.json", json.dumps(notes).encode())])
    assert found.values["crowds_left_out"] == 1
    assert [item.get("crowds_left_out") for item in found.values["items"]] == [1, None]
    assert "crowds_left_out" not in run_dataset(FILES).values


def test_heat_is_held_against_the_object_when_there_is_a_mask(result: Result):
    found = {name: item["object"] for name, item in items_of(result).items()}
    assert found["Dark_Red/a.png"] == {
        "file": "masks/Dark_Red/a.png",
        "energy": pytest.approx(0.5),
        "pointing": True,
        "area": 0.125,
    }
    assert (found["1/c.png"]["energy"], found["1/c.png"]["pointing"]) == (1.0, True)
    assert (found["green/black.png"]["energy"], found["green/black.png"]["pointing"]) == (0.0, False)
    assert found["Dark_Red/b.png"] is found["holiday/d.png"] is None


def test_picture_is_passed_over_when_its_mask_does_not_fit():
    files = [*FILES[:2], ("masks/Dark_Red/a.png", png(np.ones((9, 9), np.uint8)))]
    found = run_dataset(files)
    assert [item["name"] for item in found.values["items"]] == ["Dark_Red/b.png"]
    assert [(item["name"], item["code"]) for item in found.values["skipped"]] == [
        ("Dark_Red/a.png", "annotation_invalid")
    ]


def test_job_is_refused_when_an_annotation_cannot_be_read():
    images = dataset([*FILES, ("1/c.xml", b"<annotation>")])
    with pytest.raises(AnnotationInvalidError, match=r"'1/c\.xml'"):
        plan(MODEL, request_for(images), LIMITS, JobLimits())
    # A method that draws no heat maps does not look at them.
    method = METHODS["predictions"]
    plan(MODEL, Request(method, method.params.model_validate({}), None, images=images), LIMITS, JobLimits())
