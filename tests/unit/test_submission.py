"""From a request to a record: what makes two requests one job, where it goes, and in which order it is written."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from service.engine.chunks import JobLimits
from service.engine.images import ImageLimits
from service.engine.method import AnyMethod
from service.engine.methods import METHODS
from service.engine.methods.filters import FILTERS
from service.engine.methods.grad_cam import GRAD_CAM
from service.engine.parameters import validate
from service.engine.run import Request
from service.errors import ImageInvalidError
from service.jobs.artifacts import Artifacts, StorageUnavailableError
from service.jobs.sqlite import SqliteJobStore
from service.jobs.store import Rules
from service.jobs.submission import Draft, JobRules, Submissions, draft_job, fingerprint
from tests.unit.fakes import SilentDoorbell, closed_form_model

WEIGHTS = [[1, 0], [0, 1], [0, 0]]
RULES = JobRules(ImageLimits(10**6, 10**6), JobLimits())


def _png(color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), color).save(buffer, "PNG")
    return buffer.getvalue()


def _draft(
    method: AnyMethod = GRAD_CAM, *, name: str = "closed", image: bytes | None = None, rules: JobRules = RULES
) -> Draft:
    model = closed_form_model(WEIGHTS, name=name)
    return draft_job([model], Request(method, validate(method.params, {}), image or _png()), rules)


def test_key_is_the_same_when_the_request_is():
    assert _draft().duplicate_key == _draft().duplicate_key
    assert _draft().record.id != _draft().record.id


def test_key_is_another_when_anything_is():
    params = validate(GRAD_CAM.params, {"opacity": "0.5"})
    model = closed_form_model(WEIGHTS)
    keys = [
        _draft().duplicate_key,
        _draft(name="other").duplicate_key,
        _draft(image=_png("blue")).duplicate_key,
        _draft(replace(GRAD_CAM, name="other")).duplicate_key,
        draft_job([model], Request(GRAD_CAM, params, _png()), RULES).duplicate_key,
        draft_job([replace(model, digest="1" * 64)], Request(GRAD_CAM, params, _png()), RULES).duplicate_key,
        draft_job([replace(model, version="2")], Request(GRAD_CAM, params, _png()), RULES).duplicate_key,
    ]
    assert len(set(keys)) == len(keys)


def test_fingerprint_is_the_same_when_members_stand_in_another_order():
    assert fingerprint({"a": 1, "b": [{"c": 2, "d": 3}]}) == fingerprint({"b": [{"d": 3, "c": 2}], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_parameters_are_the_same_when_read_back_from_the_record(method: AnyMethod):
    params = validate(method.params, {})
    assert validate(method.params, params.model_dump(mode="json")) == params


def test_picture_is_left_out_when_the_method_needs_none():
    draft = _draft(FILTERS)
    assert (draft.image, draft.record.request.image) == (None, None)


def test_request_is_refused_when_its_picture_is_none():
    with pytest.raises(ImageInvalidError):
        _draft(image=b"no picture")


@pytest.mark.parametrize(("name", "queue"), [("vgg16", "gpu"), ("VGG16", "cpu"), ("resnet", "gpu"), ("shapes", "cpu")])
def test_queue_is_the_gpus_when_a_pattern_fits(name: str, queue: str):
    rules = replace(RULES, gpu_models=("vgg*", "resnet"))
    assert _draft(name=name, rules=rules).record.queue == queue


def test_bell_rings_once_when_the_same_job_is_sent_twice(tmp_path: Path):
    store, artifacts, bell = SqliteJobStore(tmp_path / "jobs", Rules()), Artifacts(str(tmp_path)), SilentDoorbell()
    submissions, draft = Submissions(store, artifacts, bell, max_queued=None), _draft()
    first, again = submissions.send(draft), submissions.send(_draft())
    assert first.created
    assert (again.id, again.created) == (first.id, False)
    assert bell.rung == [("cpu", 1)]
    assert draft.record.request.image is not None
    assert artifacts.read_input(draft.record.request.image) == _png()
    store.close()


def test_no_record_is_written_when_the_picture_cannot_be(tmp_path: Path):
    (tmp_path / "file").touch()
    store, artifacts = SqliteJobStore(tmp_path / "jobs", Rules()), Artifacts(str(tmp_path / "file" / "x"))
    with pytest.raises(StorageUnavailableError):
        Submissions(store, artifacts, SilentDoorbell(), max_queued=None).send(_draft())
    assert store.list(limit=10) == []
    store.close()
