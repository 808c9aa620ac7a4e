"""Reading what is kept."""

import pytest

from service.jobs.store.errors import JobNotFoundError
from service.jobs.store.port import JobStore, Rules
from tests.contract.job_store.jobs import Opening, a_chunk_result, a_record, claim, submit


def test_a_listing_is_newest_first_and_paged(store: JobStore) -> None:
    records = [a_record(chunks=2) for _ in range(25)]
    for record in records:
        submit(store, record)
    store.finish(claim(store), a_chunk_result())
    pages = [store.list(limit=10)]
    while len(pages[-1]) == 10:
        pages.append(store.list(limit=10, after=pages[-1][-1].record.id))
    listed = [job for page in pages for job in page]
    assert [job.record for job in listed] == records[::-1]
    assert [chunk.state for chunk in listed[-1].chunks] == ["succeeded", "queued"]
    assert {chunk.images for job in listed for chunk in job.chunks} == {()}
    with pytest.raises(JobNotFoundError):
        store.list(limit=10, after="never")


def test_outstanding_are_the_chunks_that_are_queued_or_running(store: JobStore) -> None:
    assert store.outstanding().get("cpu", 0) == 0
    record = a_record(chunks=3, combines=True)
    submit(store, record)
    assert store.outstanding() == {"cpu": 3}
    held = claim(store)
    assert store.outstanding() == {"cpu": 3}
    store.finish(held, a_chunk_result())
    assert store.outstanding() == {"cpu": 2}
    held = claim(store)
    store.cancel(record.id)
    assert store.outstanding().get("cpu", 0) == 0


def test_the_known_are_those_with_a_record(store: JobStore) -> None:
    record = a_record()
    submit(store, record)
    assert store.known([record.id, "never"]) == {record.id}
    assert store.known([]) == set()


def test_inputs_are_in_use_as_long_as_one_record_refers_to_them(store: JobStore) -> None:
    first, second = a_record(image="a1"), a_record(image="a1")
    submit(store, first)
    submit(store, second)
    submit(store, a_record())
    store.delete(first.id)
    assert store.inputs() == {"a1"}
    store.delete(second.id)
    assert store.inputs() == set()


def test_the_revision_never_shrinks_and_grows_with_each_change(store: JobStore) -> None:
    record = a_record(chunks=2, combines=True)
    seen = []

    def look() -> None:
        seen.append(store.revision(record.id))

    submit(store, record)
    look()
    held = claim(store)
    look()
    store.beat(held, 0.5)
    look()
    store.hand_back(held)
    look()
    store.finish(claim(store), a_chunk_result())
    look()
    store.cancel(record.id)
    look()
    assert seen == sorted(set(seen))


def test_records_are_the_same_when_the_store_is_opened_again(make: Opening) -> None:
    store = make(Rules())
    submit(store, a_record(chunks=2))
    held = claim(store)
    store.beat(held, 0.5)
    before = store.get(held.record.id)
    store.close()
    again = make(Rules())
    assert again.get(held.record.id) == before
    assert again.finish(held, a_chunk_result()) == "continue"
