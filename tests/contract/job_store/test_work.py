"""Claiming chunks and reporting on them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from service.jobs.store.port import (
    JobStore,
    Rules,
)
from tests.contract.job_store.jobs import (
    ERROR,
    Opening,
    a_chunk_result,
    a_record,
    a_worker,
    an_answer,
    claim,
    states,
    submit,
)


def test_chunks_are_claimed_oldest_first_and_from_their_queue_alone(store: JobStore) -> None:
    records = [a_record(chunks=2), a_record(), a_record().model_copy(update={"queue": "gpu"})]
    for record in records:
        submit(store, record)
    assert store.sweep().queued == {"cpu": 3, "gpu": 1}
    order = [claim(store) for _ in range(3)]
    assert [(held.record, held.chunk, held.attempt) for held in order] == [
        (records[0], 0, 1),
        (records[0], 1, 1),
        (records[1], 0, 1),
    ]
    assert store.claim("cpu", a_worker()) is None
    on_gpu = store.claim("gpu", a_worker())
    assert on_gpu is not None
    assert [held.fence for held in order] == sorted({held.fence for held in order})
    assert on_gpu.fence > order[-1].fence
    assert store.sweep().queued == {}


def test_a_job_runs_from_its_first_claim_on(store: JobStore) -> None:
    record = a_record(chunks=2)
    submit(store, record)
    claim(store)
    found = store.get(record.id)
    assert (found.state, states(store, record.id)) == ("running", ["running", "queued"])
    assert found.started is not None
    claim(store)
    assert store.get(record.id).started == found.started


def test_the_same_claim_is_given_when_a_process_claims_again(store: JobStore) -> None:
    submit(store, a_record(chunks=2))
    worker = a_worker()
    held = claim(store, worker)
    revision = store.revision(held.record.id)
    assert store.claim("cpu", worker) == held
    assert store.claim("gpu", worker) == held
    assert store.revision(held.record.id) == revision
    assert store.sweep().queued == {"cpu": 1}
    store.finish(held, a_chunk_result())
    assert claim(store, worker).chunk == 1


def test_a_process_claims_anew_when_the_job_it_holds_has_ended(store: JobStore) -> None:
    first, second = a_record(), a_record()
    submit(store, first)
    submit(store, second)
    worker = a_worker()
    claim(store, worker)
    store.cancel(first.id)
    assert claim(store, worker).record == second
    assert store.overdue(worker.name, 0.0) == []


def test_each_chunk_is_claimed_once_when_eight_threads_claim(store: JobStore) -> None:
    for _ in range(10):
        submit(store, a_record(chunks=20))
    seen: list[tuple[str, int]] = []

    def work() -> None:
        worker = a_worker()
        while held := store.claim("cpu", worker):
            seen.append((held.record.id, held.chunk))
            assert store.finish(held, a_chunk_result()) == "continue"

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work) for _ in range(8)]:
            future.result()
    assert len(seen) == len(set(seen)) == 200
    assert {job.state for job in store.list(limit=100)} == {"succeeded"}


def test_progress_grows_and_never_shrinks_within_an_attempt(store: JobStore) -> None:
    submit(store, a_record())
    held = claim(store)
    job = held.record.id
    assert store.beat(held, 0.5) == "continue"
    revision = store.revision(job)
    assert store.beat(held, 0.25) == store.beat(held, 0.5) == "continue"
    assert (store.get(job).chunks[0].progress, store.revision(job)) == (0.5, revision)
    assert store.beat(held, 1.5) == "continue"
    assert (store.get(job).chunks[0].progress, store.revision(job)) == (1.0, revision + 1)


def test_a_beat_renews_the_lease(make: Opening) -> None:
    store, patient = make(Rules(lease_seconds=0.0)), make(Rules())
    submit(store, a_record())
    held = claim(store)
    patient.beat(held, 0.0)
    store.sweep()
    assert states(store, held.record.id) == ["running"]


def test_a_worker_keeps_its_chunk_when_it_is_late_but_no_sweep_has_come(hasty: JobStore) -> None:
    submit(hasty, a_record())
    held = claim(hasty)
    assert hasty.beat(held, 0.1) == hasty.finish(held, a_chunk_result()) == "continue"


def test_the_job_succeeds_with_its_last_chunk(store: JobStore) -> None:
    record = a_record(chunks=2)
    submit(store, record)
    first, second = claim(store), claim(store)
    assert store.finish(second, a_chunk_result("b")) == "continue"
    halfway = store.get(record.id)
    assert halfway.state == "running"
    assert store.finish(first, a_chunk_result("a")) == "continue"
    found = store.get(record.id)
    assert found.state == "succeeded"
    assert [chunk.images for chunk in found.chunks] == [tuple(a_chunk_result(name).images) for name in "ab"]
    assert (found.answer, halfway.answer) == (an_answer("a"), None)
    assert store.answers(record.id) == [an_answer("a"), an_answer("b")]
    assert [chunk.progress for chunk in found.chunks] == [1.0, 1.0]
    assert [chunk.revision for chunk in found.chunks] == [found.revision, halfway.revision]
    assert found.finished is not None
    assert found.expires == pytest.approx(found.finished + Rules().result_seconds)


def test_a_finish_is_one_when_repeated(store: JobStore) -> None:
    record = a_record(chunks=2)
    submit(store, record)
    held = claim(store)
    assert store.finish(held, a_chunk_result("a")) == "continue"
    before = store.get(record.id)
    assert store.finish(held, a_chunk_result("b")) == "continue"
    assert store.finish(held, ERROR) == "continue"
    assert store.beat(held, 0.5) == "fenced"
    assert store.get(record.id) == before
    last = claim(store)
    assert store.finish(last, ERROR) == "continue"
    assert store.finish(last, ERROR) == "continue"
    assert store.get(record.id).state == "failed"


def test_the_combining_chunk_is_queued_at_the_head_when_all_others_have_succeeded(store: JobStore) -> None:
    record, other = a_record(chunks=2, combines=True), a_record()
    submit(store, record)
    first, second = claim(store), claim(store)
    store.finish(first, a_chunk_result())
    assert states(store, record.id) == ["succeeded", "running", "waiting"]
    submit(store, other)
    store.finish(second, a_chunk_result())
    assert states(store, record.id) == ["succeeded", "succeeded", "queued"]
    combining = claim(store)
    assert (combining.record, combining.chunk) == (record, 2)
    assert store.get(record.id).state == "running"
    assert claim(store).record == other
    store.finish(combining, a_chunk_result("whole"))
    assert store.get(record.id).state == "succeeded"


def test_an_error_fails_the_job_and_cancels_its_other_chunks(store: JobStore) -> None:
    record = a_record(chunks=3, combines=True)
    submit(store, record)
    first, second = claim(store), claim(store)
    assert store.finish(first, ERROR) == "continue"
    found = store.get(record.id)
    assert (found.state, found.error) == ("failed", ERROR)
    assert states(store, record.id) == ["failed", "cancelled", "cancelled", "cancelled"]
    assert store.sweep().queued == {}
    assert store.claim("cpu", a_worker()) is None
    assert store.finish(second, a_chunk_result()) == "cancel"
    assert store.get(record.id) == found
