"""From a request to a record: what makes two requests one job, where it goes, and in which order it is written."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
from PIL import Image

from schemas.jobs import JobRecord
from schemas.results import ResultImage
from service.engine.chunks import JobLimits
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.kinds.method import AnyMethod
from service.engine.methods import METHODS
from service.engine.methods.heatmaps.grad_cam import GRAD_CAM
from service.engine.methods.layers.filters import FILTERS
from service.engine.parameters import validate
from service.engine.running.request import Request
from service.errors import ImageInvalidError, StorageFullError
from service.jobs.artifacts import Artifacts, StorageLimits, StorageUnavailableError
from service.jobs.store.bounds import Bounds
from service.jobs.store.errors import QueueFullError
from service.jobs.store.port import Rules
from service.jobs.store.sqlite import SqliteJobStore
from service.jobs.submission import Draft, JobRules, Submissions, draft_job, fingerprint
from tests.unit.fakes import SilentNotifier, closed_form_model

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
    return draft_job([model], Request(method, validate(method.params, {}), ImageFile(image or _png())), rules)


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
        draft_job([model], Request(GRAD_CAM, params, ImageFile(_png())), RULES).duplicate_key,
        draft_job([replace(model, digest="1" * 64)], Request(GRAD_CAM, params, ImageFile(_png())), RULES).duplicate_key,
        draft_job([replace(model, version="2")], Request(GRAD_CAM, params, ImageFile(_png())), RULES).duplicate_key,
        draft_job([model], Request(GRAD_CAM, params, ImageFile(_png())), RULES, owner="a").duplicate_key,
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


def test_wake_up_is_sent_once_when_the_same_job_is_sent_twice(tmp_path: Path):
    store, artifacts, notifier = SqliteJobStore(tmp_path / "jobs", Rules()), Artifacts(str(tmp_path)), SilentNotifier()
    submissions, draft = Submissions(store, artifacts, notifier, max_queued=None), _draft()
    first, again = submissions.send(draft), submissions.send(_draft())
    assert first.created
    assert (again.id, again.created) == (first.id, False)
    assert notifier.notified == [("cpu", 1)]
    assert draft.record.request.image is not None
    assert artifacts.read_input(draft.record.request.image) == _png()
    store.close()


def _inputs(folder: Path) -> list[Path]:
    return [path for path in (folder / "inputs").rglob("*") if path.is_file()]


def test_nothing_is_stored_when_the_queue_is_full(tmp_path: Path):
    store, artifacts = SqliteJobStore(tmp_path / "jobs", Rules()), Artifacts(str(tmp_path))
    submissions = Submissions(store, artifacts, SilentNotifier(), max_queued=1)
    first = submissions.send(_draft())
    for color in ("blue", "green"):
        with pytest.raises(QueueFullError):
            submissions.send(_draft(image=_png(color)))
    assert submissions.send(_draft()).id == first.id
    assert len(_inputs(tmp_path)) == 1
    store.close()


class _Crowd(SqliteJobStore):
    """Where all look at the queue before anybody takes a place in it."""

    def __init__(self, path: Path, count: int) -> None:
        super().__init__(path, Rules())
        self._barrier = Barrier(count)

    def admits(self, record: JobRecord, duplicate_key: str | None, bounds: Bounds) -> bool:
        try:
            return super().admits(record, duplicate_key, bounds)
        finally:
            self._barrier.wait(10)


def test_inputs_are_those_of_the_accepted_jobs_when_many_come_for_the_last_places(tmp_path: Path):
    store, artifacts = _Crowd(tmp_path / "jobs", 16), Artifacts(str(tmp_path))
    submissions = Submissions(store, artifacts, SilentNotifier(), max_queued=3)
    # Pairs of one picture each, asked in different ways: one of a pair may be refused while the other is accepted.
    drafts = [
        _draft(replace(GRAD_CAM, name=f"cam{number % 2}"), image=_png(f"#0000{number // 2:02x}"))
        for number in range(16)
    ]

    def send(draft: Draft) -> bool:
        try:
            return submissions.send(draft).created
        except QueueFullError:
            return False

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(send, drafts)) == 3
    accepted = {job.record.request.image for job in store.list(limit=20)}
    assert accepted <= {path.name for path in _inputs(tmp_path)}
    for sha256 in accepted:
        assert sha256 is not None
        assert artifacts.read_input(sha256)
    # One that somebody else had sent too is left to the collection of orphans.
    assert len(_inputs(tmp_path)) <= 8
    store.close()


def test_different_pictures_leave_nothing_when_many_come_for_the_last_place(tmp_path: Path):
    store, artifacts = _Crowd(tmp_path / "jobs", 8), Artifacts(str(tmp_path))
    submissions = Submissions(store, artifacts, SilentNotifier(), max_queued=1)

    def send(number: int) -> bool:
        try:
            return submissions.send(_draft(image=_png(f"#0000{number:02x}"))).created
        except QueueFullError:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(send, range(8))) == 1
    assert [path.name for path in _inputs(tmp_path)] == [job.record.request.image for job in store.list(limit=20)]
    store.close()


def test_no_job_is_made_when_there_is_no_room_for_its_pictures(tmp_path: Path):
    store = SqliteJobStore(tmp_path / "jobs", Rules())
    artifacts = Artifacts(str(tmp_path), StorageLimits(inputs=10**6, results=100))
    submissions = Submissions(store, artifacts, SilentNotifier(), max_queued=None)
    first = submissions.send(_draft())
    artifacts.write_pictures(first.id, 0, 1, [ResultImage(name="a", layer=None, width=1, height=1, data=bytes(100))])
    (tmp_path / "results" / "other").write_bytes(b"1")
    fresh = Submissions(store, Artifacts(str(tmp_path), StorageLimits(10**6, 100)), SilentNotifier(), max_queued=None)
    with pytest.raises(StorageFullError, match="delete jobs"):
        fresh.send(_draft(image=_png("blue")))
    # What was computed is still answered with.
    assert fresh.send(_draft()).id == first.id
    assert len(_inputs(tmp_path)) == len(store.list(limit=10)) == 1
    store.close()


def test_full_store_tells_no_owner_what_another_has_sent(tmp_path: Path):
    store, kept = SqliteJobStore(tmp_path / "jobs", Rules()), _png("red")
    limits = StorageLimits(inputs=len(kept), results=10**6)
    submissions = Submissions(store, Artifacts(str(tmp_path), limits), SilentNotifier(), max_queued=None)

    def draft(owner: str, image: bytes) -> Draft:
        params = validate(GRAD_CAM.params, {})
        request = Request(GRAD_CAM, params, ImageFile(image))
        return draft_job([closed_form_model(WEIGHTS)], request, RULES, owner=owner)

    first = submissions.send(draft("a", kept))
    refused = []
    for image in (kept, _png("blue")):
        with pytest.raises(StorageFullError) as caught:
            submissions.send(draft("b", image))
        refused.append(caught.value.detail)
    assert refused[0] == refused[1]
    assert submissions.send(draft("a", kept)).id == first.id
    store.close()


def test_no_record_is_written_when_the_picture_cannot_be(tmp_path: Path):
    (tmp_path / "file").touch()
    store, artifacts = SqliteJobStore(tmp_path / "jobs", Rules()), Artifacts(str(tmp_path / "file" / "x"))
    with pytest.raises(StorageUnavailableError):
        Submissions(store, artifacts, SilentNotifier(), max_queued=None).send(_draft())
    assert store.list(limit=10) == []
    store.close()
