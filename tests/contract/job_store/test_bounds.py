"""How much one owner may have queued and kept: counted exactly, given back, and no matter to others."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.jobs import JobRecord
from service.jobs.store.bounds import UNBOUNDED, Bounds, OwnerLimitReachedError, OwnerLimits
from service.jobs.store.errors import QueueFullError
from service.jobs.store.port import JobStore, Rules, Submission
from tests.contract.job_store.jobs import ERROR, Opening, a_chunk_result, a_record, claim, submit

MANY = 10**9


def _bounds(*, jobs: int = MANY, items: int = MANY, stored: int = MANY) -> Bounds:
    return Bounds(owner=OwnerLimits(jobs, items, stored))


def _submit(store: JobStore, record: JobRecord, bounds: Bounds) -> Submission:
    return store.submit(record, duplicate_key=f"only {record.id}", bounds=bounds)


def _assert_full(store: JobStore, record: JobRecord, bounds: Bounds, match: str) -> None:
    for ask in (
        lambda: store.admits(record, None, bounds),
        lambda: _submit(store, record, bounds),
    ):
        with pytest.raises(OwnerLimitReachedError, match=match):
            ask()
    assert store.known([record.id]) == set()


def test_so_many_jobs_of_an_owner_may_be_in_work(store: JobStore) -> None:
    bounds = _bounds(jobs=2)
    for _ in range(2):
        _submit(store, a_record(owner="a"), bounds)
    _assert_full(store, a_record(owner="a"), bounds, r"2 of your jobs .* 2 may .*'queued_jobs'")
    # Others have their own, and who is not bounded has none.
    assert _submit(store, a_record(owner="b"), bounds).created
    assert submit(store, a_record(owner="a")).created


@pytest.mark.parametrize(
    "end",
    [
        lambda store, job: store.cancel(job),
        lambda store, job: store.delete(job),
        lambda store, _: store.finish(claim(store), a_chunk_result()),
        lambda store, _: store.finish(claim(store), ERROR),
    ],
    ids=["cancel", "delete", "succeed", "fail"],
)
def test_a_place_is_given_back_once_however_the_job_ends(
    store: JobStore, end: Callable[[JobStore, str], object]
) -> None:
    bounds = _bounds(jobs=1, items=1)
    for _ in range(3):
        job = _submit(store, a_record(owner="a"), bounds).id
        _assert_full(store, a_record(owner="a"), bounds, "queued_jobs")
        end(store, job)
    assert _submit(store, a_record(owner="a"), bounds).created
    # A job that has ended gives nothing back when it goes.
    for ended in store.list(limit=10, owner="a")[1:]:
        store.delete(ended.record.id)
    _assert_full(store, a_record(owner="a"), bounds, "queued_jobs")


def test_so_many_items_of_an_owners_jobs_may_be_in_work(store: JobStore) -> None:
    bounds = _bounds(items=5)
    first = _submit(store, a_record(chunks=3, owner="a"), bounds).id
    _assert_full(store, a_record(chunks=3, owner="a"), bounds, r"have 3 items, this one has 3, and 5 .*'job_items'")
    assert _submit(store, a_record(chunks=2, owner="a"), bounds).created
    store.cancel(first)
    assert _submit(store, a_record(chunks=3, owner="a"), bounds).created
    _assert_full(store, a_record(chunks=6, owner="b"), bounds, "this one has 6")


def test_so_many_bytes_of_an_owners_jobs_may_be_kept(store: JobStore) -> None:
    # An input of the tests has 100 bytes, a picture 10.
    bounds = _bounds(stored=210)
    first = _submit(store, a_record(image="i", owner="a"), bounds).id
    store.finish(claim(store), a_chunk_result())
    assert _submit(store, a_record(image="j", owner="a"), bounds).created
    _assert_full(
        store, a_record(owner="a"), bounds, r"take 210 bytes, this one's input adds 0, and 210 .*'stored_bytes'"
    )
    _assert_full(store, a_record(image="k", owner="a"), bounds, "adds 100")
    assert _submit(store, a_record(image="j", owner="b"), bounds).created
    store.delete(first)
    _assert_full(store, a_record(image="k", owner="a"), _bounds(stored=199), "take 100 bytes")
    assert _submit(store, a_record(image="k", owner="a"), bounds).created


def test_an_owners_equal_inputs_count_once_until_the_last_is_gone(store: JobStore) -> None:
    bounds = _bounds(stored=150)
    first, second = (_submit(store, a_record(image="i", owner="a"), bounds).id for _ in range(2))
    _assert_full(store, a_record(image="j", owner="a"), bounds, "take 100 bytes")
    store.delete(first)
    _assert_full(store, a_record(image="j", owner="a"), bounds, "take 100 bytes")
    store.delete(second)
    assert _submit(store, a_record(image="j", owner="a"), bounds).created


def test_bytes_are_given_back_when_jobs_expire(make: Opening) -> None:
    store, bounds = make(Rules(result_seconds=0.0)), _bounds(stored=100)
    _submit(store, a_record(image="i", owner="a"), bounds)
    store.finish(claim(store), a_chunk_result())
    _assert_full(store, a_record(image="j", owner="a"), bounds, "take 110 bytes")
    assert len(store.sweep().expired) == 1
    assert _submit(store, a_record(image="j", owner="a"), bounds).created


def test_a_limit_stops_no_request_that_makes_no_job(store: JobStore) -> None:
    bounds = _bounds(jobs=1)
    record = a_record(owner="a")
    first = store.submit(record, duplicate_key="k", bounds=bounds)
    assert not store.admits(a_record(owner="a"), "k", bounds)
    assert store.submit(a_record(owner="a"), duplicate_key="k", bounds=bounds).id == first.id
    assert store.submit(record, duplicate_key="k", bounds=bounds) == first


def test_the_bound_of_all_comes_first_and_tells_of_nobody(store: JobStore) -> None:
    submit(store, a_record(owner="b"))
    with pytest.raises(QueueFullError):
        _submit(store, a_record(owner="a"), Bounds(1, OwnerLimits(0, 0, 0)))
    assert store.admits(a_record(owner="a"), None, UNBOUNDED)


def test_an_owner_gets_exactly_as_many_when_many_come_at_once(store: JobStore) -> None:
    def attempt(number: int) -> str | None:
        record = a_record(owner="ab"[number % 2])
        try:
            _submit(store, record, _bounds(jobs=4))
        except OwnerLimitReachedError:
            return None
        return record.owner

    with ThreadPoolExecutor(20) as pool:
        accepted = list(pool.map(attempt, range(20)))
    assert [accepted.count(owner) for owner in ("a", "b")] == [4, 4]
