"""Submitting: all or nothing, once, and not too many."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.jobs.store.bounds import UNBOUNDED, Bounds
from service.jobs.store.errors import (
    IdempotencyKeyReusedError,
    JobNotFoundError,
    QueueFullError,
    RequestInProgressError,
)
from service.jobs.store.port import JobStore, Rules, Submission
from tests.contract.job_store.jobs import (
    ERROR,
    Opening,
    a_chunk_result,
    a_record,
    a_worker,
    claim,
    states,
    submit,
    until,
)


def test_a_submitted_job_stands_as_it_was_written(store: JobStore) -> None:
    record = a_record(chunks=2, combines=True)
    before = time.time()
    assert submit(store, record) == Submission(record.id, created=True)
    found = store.get(record.id)
    assert found.record == record
    assert (found.state, found.started, found.finished, found.error) == ("queued", None, None, None)
    assert before - 1 <= found.created <= time.time() + 1
    assert found.expires == pytest.approx(found.created + Rules().result_seconds)
    assert states(store, record.id) == ["queued", "queued", "waiting"]
    assert [(chunk.attempts, chunk.retries, chunk.progress, chunk.images) for chunk in found.chunks] == [
        (0, 0, 0.0, ())
    ] * 3
    assert (found.answer, store.answers(record.id)) == (None, [])
    assert store.revision(record.id) == found.revision


def test_a_submit_is_the_same_submission_when_repeated(store: JobStore) -> None:
    record = a_record()
    assert submit(store, record) == submit(store, record) == Submission(record.id, created=True)
    assert store.sweep().queued == {"cpu": 1}
    assert store.claim("cpu", a_worker()) is not None
    assert store.claim("cpu", a_worker()) is None


def test_an_earlier_job_is_answered_while_it_is_queued_running_or_has_succeeded(store: JobStore) -> None:
    first = store.submit(a_record(), duplicate_key="k")
    earlier = Submission(first.id, created=False)
    assert store.submit(a_record(), duplicate_key="k") == earlier
    held = claim(store)
    assert store.submit(a_record(), duplicate_key="k") == earlier
    store.finish(held, a_chunk_result())
    assert store.submit(a_record(), duplicate_key="k") == earlier
    assert store.submit(a_record(), duplicate_key="another").created


def test_a_duplicate_key_is_free_again_when_its_job_was_cancelled_failed_or_deleted(store: JobStore) -> None:
    store.cancel(store.submit(a_record(), duplicate_key="k").id)
    second = store.submit(a_record(), duplicate_key="k")
    assert second.created
    store.finish(claim(store), ERROR)
    third = store.submit(a_record(), duplicate_key="k")
    assert third.created
    store.delete(third.id)
    assert store.submit(a_record(), duplicate_key="k").created


def test_a_fresh_job_takes_the_duplicate_key_over(store: JobStore) -> None:
    old = store.submit(a_record(), duplicate_key="k")
    new = store.submit(a_record(), duplicate_key="k", fresh=True)
    assert new.created
    store.cancel(old.id)
    assert store.submit(a_record(), duplicate_key="k") == Submission(new.id, created=False)


def test_one_record_comes_of_a_hundred_identical_submits_at_once(store: JobStore) -> None:
    with ThreadPoolExecutor(100) as pool:
        found = list(pool.map(lambda _: store.submit(a_record(), duplicate_key="k"), range(100)))
    assert len({submission.id for submission in found}) == 1
    assert sum(submission.created for submission in found) == 1
    assert len(store.list(limit=200)) == 1


def test_the_queue_is_full_when_so_many_jobs_are_queued_or_running(store: JobStore) -> None:
    records = [a_record(chunks=3) for _ in range(3)]
    for record in records[:2]:
        store.submit(record, duplicate_key=record.id, bounds=Bounds(2))
    running = claim(store)
    with pytest.raises(QueueFullError, match="2 jobs"):
        store.submit(records[2], duplicate_key="third", bounds=Bounds(2))
    with pytest.raises(JobNotFoundError):
        store.get(records[2].id)
    assert not store.submit(a_record(), duplicate_key=records[0].id, bounds=Bounds(2)).created
    assert store.submit(records[1], duplicate_key="any", bounds=Bounds(2)).created
    store.finish(running, ERROR)
    assert store.submit(records[2], duplicate_key="third", bounds=Bounds(2)).created


def test_the_queue_takes_exactly_as_many_when_many_come_at_once(store: JobStore) -> None:
    def attempt(_: int) -> bool:
        record = a_record()
        try:
            return store.submit(record, duplicate_key=record.id, bounds=Bounds(7)).created
        except QueueFullError:
            return False

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(attempt, range(20))) == 7


def test_the_queue_says_beforehand_that_it_is_full(store: JobStore) -> None:
    assert store.admits(a_record(), "k", Bounds(1))
    store.submit(a_record(), duplicate_key="k", bounds=Bounds(1))
    # An equal request is answered with what is there.
    assert not store.admits(a_record(), "k", Bounds(1))
    for key in ("another", None):
        with pytest.raises(QueueFullError, match="1 jobs"):
            store.admits(a_record(), key, Bounds(1))
    assert store.admits(a_record(), "another", UNBOUNDED)
    store.finish(claim(store), ERROR)
    assert store.admits(a_record(), "k", Bounds(1))


def test_so_many_idempotency_keys_are_remembered(make: Opening) -> None:
    store = make(Rules(idempotency_keys=3))
    for key in "abc":
        store.reserve(key, "f")
        store.submit(a_record(), duplicate_key="k", idempotency_key=key)
    first = store.reserve("b", "f")
    assert first is not None
    for key in "defghi":
        store.reserve(key, "f")
    for key in "ghi":
        with pytest.raises(RequestInProgressError):
            store.reserve(key, "f")
    # The oldest are forgotten: whoever comes with one again is a new request, which finds the same job.
    assert store.reserve("b", "another") is None
    assert store.submit(a_record(), duplicate_key="k", idempotency_key="b").id == first


def test_an_idempotency_key_answers_with_the_first_job(store: JobStore) -> None:
    assert store.reserve("i", "f") is None
    with pytest.raises(RequestInProgressError):
        store.reserve("i", "f")
    with pytest.raises(IdempotencyKeyReusedError):
        store.reserve("i", "another")
    job = store.submit(a_record(), duplicate_key="k", idempotency_key="i").id
    assert store.reserve("i", "f") == job
    with pytest.raises(IdempotencyKeyReusedError):
        store.reserve("i", "another")
    store.unreserve("i")
    assert store.reserve("i", "f") == job


def test_an_idempotency_key_is_answered_with_the_duplicate(store: JobStore) -> None:
    job = store.submit(a_record(), duplicate_key="k").id
    store.reserve("i", "f")
    assert not store.submit(a_record(), duplicate_key="k", idempotency_key="i").created
    assert store.reserve("i", "f") == job


def test_an_idempotency_key_is_free_again_when_its_request_was_refused(store: JobStore) -> None:
    store.reserve("i", "f")
    store.unreserve("i")
    assert store.reserve("i", "another") is None


def test_a_reservation_ends_when_its_request_took_too_long(make: Opening) -> None:
    store = make(Rules(reservation_seconds=0.0))
    assert store.reserve("i", "f") is None
    assert store.reserve("i", "f") is None
    first = store.submit(a_record(), duplicate_key="a", idempotency_key="i")
    # Both requests come to an end after all: one job.
    assert store.submit(a_record(), duplicate_key="b", idempotency_key="i") == Submission(first.id, created=False)


def test_an_idempotency_key_is_forgotten_after_its_time(make: Opening) -> None:
    store = make(Rules(idempotency_seconds=0.05))
    store.reserve("i", "f")
    store.submit(a_record(), duplicate_key="a", idempotency_key="i")
    until(lambda: store.reserve("i", "another") is None, IdempotencyKeyReusedError)
