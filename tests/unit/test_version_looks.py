"""Several versions over a dataset on a closed-form network: what is held of them at a time, and what is told of it."""

import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.engine.chunks import JobLimits
from service.engine.correlation import Arrays
from service.engine.drawing.renderers import RENDERERS
from service.engine.drawing.visuals import Heatmap
from service.engine.images.decoding import ImageLimits
from service.engine.methods import METHODS
from service.engine.running.request import Request
from service.engine.versions.comparison import plan_versions, run_versions
from tests.unit.fakes import closed_form_model
from tests.unit.test_over_images import dataset, photos

LIMITS = ImageLimits(2**20, 10**6), JobLimits()
GRAD_CAM = METHODS["grad-cam"]


def _version(number: int) -> Any:
    weights = np.random.default_rng(number).normal(size=(3, 2)).tolist()
    return replace(closed_form_model(weights), version=str(number))


def test_arrays_of_three_versions_are_held_when_ten_go_over_a_dataset(monkeypatch: pytest.MonkeyPatch):
    alive = most = 0

    def die() -> None:
        nonlocal alive
        alive -= 1

    def find(visual: Any) -> Arrays:
        nonlocal alive, most
        array = visual.values.copy()
        weakref.finalize(array, die)
        alive += 1
        most = max(most, alive)
        return {"": array}

    monkeypatch.setitem(RENDERERS, Heatmap, replace(RENDERERS[Heatmap], compared=find))
    models = [_version(number) for number in range(1, 11)]
    request = Request(GRAD_CAM, GRAD_CAM.params(), None, images=dataset(sorted(photos(40))))
    result = run_versions(models, request, LIMITS, lambda _: None)
    assert [len(pair["items"]) for pair in result.values["neighbours"]] == [40] * 9
    chunk = max(map(len, plan_versions(models, request, *LIMITS).chunks))
    assert chunk < 40
    assert 2 * chunk < most <= 3 * chunk + 2


def test_picture_that_cannot_be_read_is_skipped_by_all_versions():
    files = sorted(photos(5))
    files[2] = (files[2][0], b"broken")
    request = Request(GRAD_CAM, GRAD_CAM.params(), None, images=dataset(files))
    result = run_versions([_version(1), _version(2)], request, LIMITS, lambda _: None)
    assert [item["name"] for item in result.values["skipped"]] == [files[2][0]]
    (pair,) = result.values["neighbours"]
    assert files[2][0] not in {item["of"] for item in pair["items"]}
    assert len(pair["items"]) == 4
