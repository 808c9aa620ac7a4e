"""Whose jobs they are: who may not see one hears of it as of one that never was."""

from collections.abc import Callable

import pytest

from service.errors import ConvscopeError
from service.jobs.store.errors import JobExpiredError, JobNotFoundError
from service.jobs.store.port import JobStore, Rules
from tests.contract.job_store.jobs import Opening, a_chunk_result, a_record, claim, submit

Question = Callable[[JobStore, str, str | None], object]
QUESTIONS: dict[str, Question] = {
    "get": lambda store, job, owner: store.get(job, owner=owner),
    "get after": lambda store, job, owner: store.get(job, owner=owner, after=0),
    "revision": lambda store, job, owner: store.revision(job, owner=owner),
    "picture": lambda store, job, owner: store.picture(job, "filter-0", owner=owner),
    "list": lambda store, job, owner: store.list(limit=10, owner=owner, after=job),
    "cancel": lambda store, job, owner: store.cancel(job, owner=owner),
    "delete": lambda store, job, owner: store.delete(job, owner=owner),
}


def _answer(question: Question, store: JobStore, job: str, owner: str | None) -> tuple[type[object], str]:
    """How it ends, in the words that a client reads, without the id."""
    try:
        return type(question(store, job, owner)), ""
    except ConvscopeError as error:
        return type(error), error.detail.replace(job, "ID")


@pytest.mark.parametrize("state", ["queued", "running", "succeeded", "cancelled"])
@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_another_owners_job_is_like_none(store: JobStore, question: Question, state: str) -> None:
    job = submit(store, a_record(owner="a")).id
    if state in {"running", "succeeded"}:
        held = claim(store)
    if state == "succeeded":
        store.finish(held, a_chunk_result())
    if state == "cancelled":
        store.cancel(job)
    before = store.get(job)
    for stranger in ("b", "", "=a", "a:b", "A", "*"):
        assert _answer(question, store, job, stranger) == _answer(question, store, "never", stranger)
        assert _answer(question, store, job, stranger)[0] is JobNotFoundError
    assert store.get(job) == before
    assert store.get(job, owner="a") == store.get(job, owner=None) == before
    # The owner, and who sees all, are not refused for whose it is.
    assert _answer(question, store, job, "a")[0] is not JobNotFoundError


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_another_owners_job_is_like_none_when_it_has_expired(make: Opening, question: Question) -> None:
    store = make(Rules(result_seconds=0.0))
    for owner in ("a", ""):
        job = submit(store, a_record(owner=owner)).id
        store.cancel(job)
        assert store.sweep().expired == (job,)
        assert _answer(question, store, job, "b") == _answer(question, store, "never", "b")
        assert _answer(question, store, job, owner)[0] is JobExpiredError
        assert _answer(question, store, job, None)[0] is JobExpiredError


def test_the_owner_of_none_is_an_owner_like_others(store: JobStore) -> None:
    job = submit(store, a_record(owner="")).id
    assert store.get(job, owner="").record.id == job
    with pytest.raises(JobNotFoundError):
        store.get(job, owner="a")
    assert [found.record.id for found in store.list(limit=10, owner="")] == [job]


def test_a_listing_has_the_jobs_of_its_owner_alone(store: JobStore) -> None:
    records = [a_record(owner=owner) for owner in ("a", "b", "", "a:b", "b") for _ in range(5)]
    for record in records[::2] + records[1::2]:
        submit(store, record)
    everything = store.list(limit=100)
    assert {job.record.id for job in everything} == {record.id for record in records}
    for owner in ("a", "b", "", "a:b", "nobody"):
        pages = [store.list(limit=2, owner=owner)]
        while len(pages[-1]) == 2:
            pages.append(store.list(limit=2, owner=owner, after=pages[-1][-1].record.id))
        assert [job for page in pages for job in page] == [job for job in everything if job.record.owner == owner]


def test_a_listing_forgets_with_the_job(store: JobStore) -> None:
    first, second = submit(store, a_record(owner="a")).id, submit(store, a_record(owner="a")).id
    store.delete(second, owner="a")
    assert [job.record.id for job in store.list(limit=10, owner="a")] == [first]
