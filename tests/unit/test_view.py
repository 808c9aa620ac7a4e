"""A job as clients see it, worked out of snapshots made by hand."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.jobs import ChunkAnswer, JobError, JobRecord, JobRequest, JobState, StoredImage
from schemas.results import Provenance, Timings
from service.jobs.store.port import Chunk, ChunkState, Snapshot
from service.jobs.view import describe, images_since, make_result, measure_progress, summarize

ASKED = JobRequest(model="m", version="2", model_sha256="0", method="f", params={"size": 1}, image=None)
RECORD = JobRecord(
    id="a" * 32, queue="cpu", request=ASKED, unit="filters", chunks=[[0, 1, 2], [3]], combines=True
)  # fmt: skip


def _images(*names: str) -> tuple[StoredImage, ...]:
    return tuple(
        StoredImage(name=name, layer=None, width=1, height=1, file=f"results/x/{name}.png", sha256=name)
        for name in names
    )


def _answer(note: str) -> ChunkAnswer:
    return ChunkAnswer(
        model="m",
        version="2",
        method="f",
        layer=None,
        target=None,
        predictions=[],
        values={"note": note},
        provenance=Provenance(params={}, seed=None, image_sha256=None, model_sha256="0", plan={}, software={}),
        timings_seconds=Timings(decode=0, queue=0, compute=0, render=0),
    )


def _chunk(
    state: ChunkState, *names: str, attempts: int = 1, retries: int = 0, progress: float = 0, revision: int = 0
) -> Chunk:
    return Chunk(state, attempts, retries, progress, revision, _images(*names))


def _snapshot(
    *chunks: Chunk, state: JobState = "running", record: JobRecord = RECORD, answer: ChunkAnswer | None = None
) -> Snapshot:
    return Snapshot(record, state, 9, 0.0, 1.5, None, 100.0, None, chunks, answer)


FIRST = _chunk("succeeded", "filter-0", "filter-1", revision=7)
SECOND = _chunk("succeeded", "filter-3", attempts=3, retries=1, revision=5)
WHOLE = _chunk("succeeded", "sheet", revision=8)
WAITING = _chunk("waiting", attempts=0)


@pytest.mark.parametrize(
    ("chunks", "done", "fraction"),
    [
        ((_chunk("queued"), _chunk("queued"), WAITING), 0, 0),
        ((_chunk("running", progress=0.5), _chunk("queued"), WAITING), 0, 1.5 / 4),
        # What a lost attempt had done counts no more.
        ((_chunk("queued", progress=0.5), _chunk("queued"), WAITING), 0, 0),
        ((_chunk("running", progress=0.5), SECOND, WAITING), 1, 2.5 / 4),
        ((FIRST, SECOND, _chunk("running", progress=0.5)), 4, 1),
        ((FIRST, SECOND, WHOLE), 4, 1),
    ],
)
def test_progress_is_weighted_by_items_when_chunks_differ(
    chunks: tuple[Chunk, ...], done: int, fraction: float
) -> None:
    progress = measure_progress(_snapshot(*chunks))
    assert (progress.done, progress.total, progress.unit) == (done, 4, "filters")
    assert progress.fraction == pytest.approx(fraction)


def test_pictures_are_listed_when_there_is_no_result_yet() -> None:
    job = describe(_snapshot(FIRST, SECOND, WAITING), "/lab")
    assert [image.name for image in job.images] == ["filter-0", "filter-1", "filter-3"]
    assert job.images[0].href == f"/lab/v1/jobs/{'a' * 32}/images/filter-0"
    assert job.result is None


def test_result_has_the_whole_first_when_chunks_were_combined() -> None:
    job = describe(_snapshot(FIRST, SECOND, WHOLE, state="succeeded", answer=_answer("whole")), "")
    assert job.images == []
    assert job.result is not None
    assert [image.name for image in job.result.images] == ["sheet", "filter-0", "filter-1", "filter-3"]
    assert job.result.values == {"note": "whole"}


def test_result_is_the_only_part_when_nothing_is_combined() -> None:
    record = RECORD.model_copy(update={"chunks": [[0]], "combines": False})
    result = make_result(_snapshot(FIRST, state="succeeded", record=record, answer=_answer("first")), "")
    assert result is not None
    assert result.values == {"note": "first"}


def test_pictures_come_in_the_order_of_their_chunks_when_some_are_new() -> None:
    snapshot = _snapshot(FIRST, SECOND, WHOLE, state="succeeded")
    assert [image.name for image in images_since(snapshot, -1, "")] == ["filter-3", "filter-0", "filter-1", "sheet"]
    assert [image.name for image in images_since(snapshot, 5, "")] == ["filter-0", "filter-1", "sheet"]
    assert images_since(snapshot, 8, "") == []


def test_summary_has_times_and_attempts_when_a_job_failed() -> None:
    failed = replace(_snapshot(FIRST, SECOND, WAITING, state="failed"), error=JobError(code="c", detail="d"))
    summary = summarize(failed, "/lab")
    assert (summary.attempts, summary.retries) == (3, 1)
    assert summary.created_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert summary.started_at == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    assert (summary.finished_at, summary.error) == (None, JobError(code="c", detail="d"))
    assert summary.links.cancel == f"/lab/v1/jobs/{'a' * 32}/cancel"


def test_owner_is_told_to_who_sees_the_jobs_of_all() -> None:
    theirs = _snapshot(FIRST, SECOND, WAITING, record=RECORD.model_copy(update={"owner": "a"}))
    assert [summarize(theirs, "").owner, describe(theirs, "").owner] == [None, None]
    assert [summarize(theirs, "", shows_owner=True).owner, describe(theirs, "", shows_owner=True).owner] == ["a", "a"]
    # Where no keys are asked for there is nobody to tell of.
    assert summarize(_snapshot(FIRST, SECOND, WAITING), "", shows_owner=True).owner is None
