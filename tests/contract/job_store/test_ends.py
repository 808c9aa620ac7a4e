"""Jobs that are cancelled, deleted, or past their time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.jobs import ChunkResult, JobError
from service.jobs.store.errors import JobEndedError, JobExpiredError, JobNotFoundError
from service.jobs.store.port import MAX_REQUESTS, Claim, JobStore, Order, Rules, Submission
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


def test_a_cancelled_job_has_ended_at_once(store: JobStore) -> None:
    record, other = a_record(chunks=3, combines=True), a_record()
    submit(store, record)
    submit(store, other)
    done, running = claim(store), claim(store)
    store.finish(done, a_chunk_result())
    store.beat(running, 0.5)
    assert store.cancel(record.id) == "running"
    found = store.get(record.id)
    assert found.state == "cancelled"
    assert found.finished is not None
    assert found.expires == pytest.approx(found.finished + Rules().result_seconds)
    assert states(store, record.id) == ["succeeded", "cancelled", "cancelled", "cancelled"]
    assert store.sweep().queued == {"cpu": 1}
    assert store.beat(running, 0.6) == store.beat(running, 0.6) == store.finish(running, a_chunk_result()) == "cancel"
    assert store.get(record.id) == found
    assert claim(store).record == other


def test_a_job_is_cancelled_once(store: JobStore) -> None:
    record = a_record()
    submit(store, record)
    assert store.cancel(record.id) == "queued"
    before = store.get(record.id)
    assert store.cancel(record.id) == "cancelled"
    assert store.get(record.id) == before


@pytest.mark.parametrize(("outcome", "state"), [(a_chunk_result(), "succeeded"), (ERROR, "failed")])
def test_a_job_that_has_ended_cannot_be_cancelled(store: JobStore, outcome: ChunkResult | JobError, state: str) -> None:
    submit(store, a_record())
    held = claim(store)
    store.finish(held, outcome)
    with pytest.raises(JobEndedError, match=state):
        store.cancel(held.record.id)


def test_cancel_or_finish_wins_but_never_both(store: JobStore) -> None:
    for _ in range(30):
        submit(store, a_record())
        held = claim(store)
        start = threading.Barrier(2)

        def finish(held: Claim = held, start: threading.Barrier = start) -> Order:
            start.wait(10)
            return store.finish(held, a_chunk_result())

        with ThreadPoolExecutor(1) as pool:
            order = pool.submit(finish)
            start.wait(10)
            try:
                cancelled = store.cancel(held.record.id) == "running"
            except JobEndedError:
                cancelled = False
            assert (order.result() == "continue") != cancelled
        found = store.get(held.record.id)
        assert found.state == ("cancelled" if cancelled else "succeeded")
        assert (found.answer is None) == (found.chunks[0].images == ()) == cancelled


def test_a_deleted_job_is_forgotten_whatever_its_state(store: JobStore) -> None:
    record, other = a_record(chunks=2, image="f00"), a_record()
    submit(store, record)
    submit(store, other)
    held = claim(store)
    store.delete(record.id)
    for ask in (store.get, store.revision, store.cancel, store.delete):
        with pytest.raises(JobNotFoundError, match=record.id):
            ask(record.id)
    assert store.beat(held, 0.5) == store.finish(held, a_chunk_result()) == "cancel"
    assert [job.record for job in store.list(limit=10)] == [other]
    assert store.sweep().queued == {"cpu": 1}
    assert store.inputs() == set()
    assert claim(store).record == other
    store.delete(other.id)
    assert store.list(limit=10) == []


def test_a_shared_job_goes_with_the_last_of_its_requests(store: JobStore) -> None:
    job = store.submit(a_record(), duplicate_key="k").id
    assert store.submit(a_record(), duplicate_key="k") == Submission(job, created=False)
    held = claim(store)
    assert store.submit(a_record(), duplicate_key="k") == Submission(job, created=False)
    before = store.get(job)
    assert [store.delete(job), store.delete(job)] == [False, False]
    assert store.get(job) == before
    assert store.beat(held, 0.0) == "continue"
    assert store.delete(job)
    with pytest.raises(JobNotFoundError):
        store.delete(job)
    assert store.beat(held, 0.5) == "cancel"


def test_a_repeated_request_counts_once(store: JobStore) -> None:
    first, second = a_record(), a_record()
    for record in (first, first, second, second):
        assert store.submit(record, duplicate_key="k").id == first.id
    store.reserve("i", "f")
    for _ in range(2):
        store.submit(a_record(), duplicate_key="k", idempotency_key="i")
    # Three: the first, the second, and the one of the key.
    assert [store.delete(first.id) for _ in range(3)] == [False, False, True]


def test_a_job_made_under_an_idempotency_key_has_one_request_when_the_key_comes_again(store: JobStore) -> None:
    store.reserve("i", "f")
    job = store.submit(a_record(), duplicate_key="k", idempotency_key="i").id
    assert store.reserve("i", "f") == job
    store.submit(a_record(), duplicate_key="k", idempotency_key="i")
    assert store.delete(job)


def test_a_shared_job_can_be_forgotten_however_often_it_was_asked_for(store: JobStore) -> None:
    job = store.submit(a_record(), duplicate_key="k").id
    for _ in range(MAX_REQUESTS + 20):
        store.submit(a_record(), duplicate_key="k")
    assert [store.delete(job) for _ in range(MAX_REQUESTS)] == [False] * (MAX_REQUESTS - 1) + [True]


def test_each_delete_takes_one_request_when_many_come_at_once(store: JobStore) -> None:
    job = store.submit(a_record(), duplicate_key="k").id
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.submit(a_record(), duplicate_key="k"), range(15)))
        assert sum(pool.map(lambda _: store.delete(job), range(15))) == 0
    assert store.delete(job)


def test_a_shared_job_is_cancelled_for_all(store: JobStore) -> None:
    job = store.submit(a_record(), duplicate_key="k").id
    store.submit(a_record(), duplicate_key="k")
    assert store.cancel(job) == "queued"
    # Whoever still wants it sees why there is no result, and makes it anew.
    assert store.get(job).state == "cancelled"
    assert store.submit(a_record(), duplicate_key="k").created


def test_an_expired_job_goes_however_many_requests_it_has(make: Opening) -> None:
    store = make(Rules(result_seconds=0.0))
    job = store.submit(a_record(), duplicate_key="k").id
    store.submit(a_record(), duplicate_key="k")
    store.cancel(job)
    assert store.sweep().expired == (job,)
    assert store.submit(a_record(job), duplicate_key="k").created
    assert store.delete(job)


def test_processes_are_overdue_when_they_hold_on_to_what_has_ended(store: JobStore) -> None:
    records = [a_record(), a_record(), a_record(chunks=2), a_record()]
    for record in records:
        submit(store, record)
    workers = [a_worker("mine") for _ in range(5)]
    held = [claim(store, worker) for worker in workers]
    assert store.overdue("mine", 0.0) == []
    store.cancel(records[0].id)
    store.delete(records[1].id)
    store.finish(held[2], ERROR)
    found = {(one.job, one.chunk, one.worker) for one in store.overdue("mine", 0.0)}
    assert found == {(records[0].id, 0, workers[0]), (records[1].id, 0, workers[1]), (records[2].id, 1, workers[3])}
    assert store.overdue("mine", 60.0) == []
    assert store.overdue("another", 0.0) == []
    store.beat(held[0], 0.5)
    store.finish(held[1], a_chunk_result())
    store.abandon(workers[3].process)
    assert store.overdue("mine", 0.0) == []


def test_a_deleted_job_keeps_its_holder_overdue_when_it_was_cancelled_before(store: JobStore) -> None:
    submit(store, a_record())
    worker = a_worker()
    held = claim(store, worker)
    store.cancel(held.record.id)
    store.delete(held.record.id)
    assert [one.worker for one in store.overdue(worker.name, 0.0)] == [worker]


def test_a_final_job_expires_and_leaves_a_tombstone(make: Opening) -> None:
    store = make(Rules(result_seconds=0.0))
    ended, queued, running = a_record(image="a1"), a_record(image="b2"), a_record(image="b2")
    for record in (ended, running, queued):
        store.submit(record, duplicate_key=record.id)
    store.finish(claim(store), a_chunk_result())
    claim(store)
    assert store.inputs() == {"a1", "b2"}
    assert store.sweep().expired == (ended.id,)
    assert store.sweep().expired == ()
    for ask in (store.get, store.revision, store.cancel, store.delete):
        with pytest.raises(JobExpiredError, match="again"):
            ask(ended.id)
    assert store.known([ended.id, queued.id, running.id, "never"]) == {queued.id, running.id}
    assert store.inputs() == {"b2"}
    assert {job.record.id for job in store.list(limit=10)} == {queued.id, running.id}
    assert store.submit(a_record(), duplicate_key=ended.id).created
    # Submitted anew under its id, it is there.
    assert submit(store, ended).created
    assert store.get(ended.id).state == "queued"


def test_a_tombstone_crumbles_after_its_time(make: Opening) -> None:
    store = make(Rules(result_seconds=0.0, tombstone_seconds=0.05))
    record = a_record()
    submit(store, record)
    store.cancel(record.id)
    assert store.sweep().expired == (record.id,)

    def is_unknown() -> bool:
        with pytest.raises(JobNotFoundError):
            store.get(record.id)
        return True

    until(is_unknown, JobExpiredError)


def test_a_final_job_stays_until_its_time(store: JobStore) -> None:
    submit(store, a_record())
    held = claim(store)
    store.finish(held, a_chunk_result())
    assert store.sweep().expired == ()
    assert store.get(held.record.id).state == "succeeded"
