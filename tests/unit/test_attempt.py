"""What one attempt at a chunk leaves among the artifacts, and what the record has of it."""

from pathlib import Path
from typing import Any

import pytest

from schemas.jobs import ChunkAnswer, JobRecord, JobRequest
from schemas.results import Provenance, Result, ResultImage, Timings
from service.errors import StorageFullError
from service.jobs.artifacts import Artifacts, StorageLimits
from service.jobs.store.port import Claim
from service.jobs.worker.attempt import RECORD_BYTES, WAITING_BYTES, Attempt, forget_numbers, read_whole

JOB = "0" * 32
MANY = {"numbers": [number / 7 for number in range(RECORD_BYTES // 8)], "text": "ä"}
FEW = {"numbers": [1 / 3, 1e-300, 3]}


def _claim(chunk: int = 0, *, combines: bool = True, fence: int = 7) -> Claim:
    asked = JobRequest(model="m", version="1", model_sha256="0", method="f", params={}, image=None)
    record = JobRecord(id=JOB, queue="cpu", request=asked, unit="images", chunks=[[0], [1]], combines=combines)
    return Claim(record, chunk, fence, 1)


def _result(values: dict[str, Any], images: list[ResultImage] | None = None) -> Result:
    return Result(
        model="m",
        version="1",
        method="f",
        layer=None,
        target=None,
        predictions=[],
        values=values,
        provenance=Provenance(params={}, seed=None, image_sha256=None, model_sha256="0", plan={}, software={}),
        timings_seconds=Timings(decode=0, queue=0, compute=0, render=0),
        images=images or [],
    )


def _image(name: str, size: int) -> ResultImage:
    return ResultImage(name=name, layer="conv1", width=2, height=1, data=name.encode() * size)


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder / "results" / JOB)) for path in folder.rglob("*") if path.is_file())


def test_pictures_are_written_while_more_are_drawn(tmp_path: Path) -> None:
    artifacts = Artifacts(str(tmp_path))
    attempt = Attempt(artifacts, _claim())
    third = WAITING_BYTES // 3
    facts = [attempt.write(_image(name, third)) for name in "abc"]
    assert _files(tmp_path) == []
    facts.append(attempt.write(_image("d", third)))
    assert _files(tmp_path) == [f"0-7/{name}.png" for name in "abcd"]
    facts.append(attempt.write(_image("e", 1)))
    assert [(image.name, image.width, image.data) for image in facts] == [(name, 2, b"") for name in "abcde"]
    # Drawn in another order than the result has them in.
    kept = attempt.keep(_result(FEW, facts[::-1]))
    assert [image.name for image in kept.images] == list("edcba")
    assert [artifacts.read(image.file)[:2] for image in kept.images] == [b"e", b"dd", b"cc", b"bb", b"aa"]


def test_many_numbers_lie_beside_the_record_until_the_job_has_ended(tmp_path: Path) -> None:
    artifacts = Artifacts(str(tmp_path))
    attempt = Attempt(artifacts, _claim())
    kept = attempt.keep(_result(MANY, [attempt.write(_image("a", 1))]))
    assert (kept.values, kept.values_file) == ({}, f"results/{JOB}/0-7/values.zlib")
    # As the store gives it back.
    told = ChunkAnswer.model_validate_json(kept.model_dump_json(exclude={"images"}))
    assert read_whole(artifacts, told).values == MANY
    forget_numbers(artifacts, JOB)
    forget_numbers(artifacts, JOB)
    assert _files(tmp_path) == ["0-7/a.png"]
    forget_numbers(artifacts, "1" * 32)


@pytest.mark.parametrize(
    ("claim", "values"), [(_claim(), FEW), (_claim(2), MANY), (_claim(combines=False), MANY)], ids=str
)
def test_numbers_stay_in_the_record_where_they_are_few_or_the_answer(
    tmp_path: Path, claim: Claim, values: dict[str, Any]
) -> None:
    artifacts = Artifacts(str(tmp_path))
    kept = Attempt(artifacts, claim).keep(_result(values))
    assert (kept.values, kept.values_file) == (values, None)
    assert read_whole(artifacts, kept).values == values
    assert _files(tmp_path) == []


def test_a_failed_attempt_leaves_nothing_and_others_what_they_have(tmp_path: Path) -> None:
    artifacts = Artifacts(str(tmp_path), StorageLimits(results=2 * WAITING_BYTES))
    other = Attempt(artifacts, _claim(fence=6))
    other.keep(_result(FEW, [other.write(_image("a", 1))]))
    attempt = Attempt(artifacts, _claim())
    attempt.discard()
    attempt.write(_image("a", WAITING_BYTES))
    with pytest.raises(StorageFullError):
        attempt.write(_image("b", WAITING_BYTES))
    assert len(_files(tmp_path)) == 2
    attempt.discard()
    assert _files(tmp_path) == ["0-6/a.png"]


def test_what_cannot_be_removed_is_no_failure(tmp_path: Path) -> None:
    artifacts = Artifacts(str(tmp_path))
    attempt = Attempt(artifacts, _claim())
    attempt.keep(_result(MANY))
    (tmp_path / "results").rename(tmp_path / "aside")
    (tmp_path / "results").write_bytes(b"no folder")
    attempt.discard()
    forget_numbers(artifacts, JOB)
