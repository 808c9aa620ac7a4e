"""What is kept of a chunk's result, for how long, and how little of it is read by who does not need it."""

import re

import pytest

from schemas.jobs import ChunkResult, StoredImage
from service.jobs.store.errors import JobNotFoundError
from service.jobs.store.port import Claim, JobStore, Picture, Rules
from service.jobs.store.redis import RedisJobStore
from tests.contract.job_store.jobs import ERROR, a_chunk_result, a_record, a_worker, an_answer, claim, submit
from tests.redis_server import RedisServer


def _reducing(store: JobStore, chunks: int = 2) -> Claim:
    """The combining chunk of a job whose other chunks have succeeded."""
    submit(store, a_record(chunks=chunks, combines=True))
    for number in range(chunks):
        store.finish(claim(store), a_chunk_result(f"filter-{number}"))
    return claim(store)


def _pictures(*names: str, chunk: int) -> ChunkResult:
    images = [
        StoredImage(name=name, layer=None, width=2, height=3, file=f"results/{chunk}/{name}.png", sha256="e5")
        for name in names
    ]
    return a_chunk_result().model_copy(update={"images": images})


def _names(store: JobStore, job: str, after: int | None = None) -> list[list[str]]:
    return [[image.name for image in chunk.images] for chunk in store.get(job, after=after).chunks]


def test_results_of_chunks_stay_until_the_reducer_has_them_and_pictures_beyond(store: JobStore) -> None:
    held = _reducing(store)
    job = held.record.id
    assert store.answers(job) == [an_answer("filter-0"), an_answer("filter-1")]
    assert store.get(job).answer is None
    assert store.finish(held, a_chunk_result("sheet")) == "continue"
    assert store.answers(job) == [an_answer("sheet")]
    found = store.get(job)
    assert (found.state, found.answer) == ("succeeded", an_answer("sheet"))
    assert _names(store, job) == [["filter-0"], ["filter-1"], ["sheet"]]
    assert store.finish(held, a_chunk_result("another")) == "continue"
    assert (store.get(job), store.answers(job)) == (found, [an_answer("sheet")])


def test_results_of_chunks_stay_when_the_reducer_was_late(hasty: JobStore) -> None:
    zombie = _reducing(hasty)
    hasty.sweep()
    assert hasty.finish(zombie, a_chunk_result("late")) == "fenced"
    assert hasty.answers(zombie.record.id) == [an_answer("filter-0"), an_answer("filter-1")]
    held = claim(hasty)
    hasty.hand_back(held)
    assert len(hasty.answers(zombie.record.id)) == 2
    assert hasty.finish(claim(hasty), a_chunk_result("sheet")) == "continue"
    assert hasty.answers(zombie.record.id) == [an_answer("sheet")]


@pytest.mark.parametrize("ended_by", ["error", "cancel"])
def test_a_job_without_a_result_keeps_its_pictures_alone(store: JobStore, ended_by: str) -> None:
    held = _reducing(store)
    job = held.record.id
    if ended_by == "cancel":
        store.cancel(job)
    else:
        store.finish(held, ERROR)
    assert (store.answers(job), store.get(job).answer) == ([], None)
    assert _names(store, job) == [["filter-0"], ["filter-1"], []]
    assert store.picture(job, "filter-1") is not None


def test_nothing_is_left_of_a_job_that_is_forgotten(store: JobStore) -> None:
    held = _reducing(store)
    store.finish(held, a_chunk_result("sheet"))
    store.delete(held.record.id)
    assert store.answers(held.record.id) == []
    # Submitted anew under its id, it has none of the old.
    submit(store, held.record)
    assert _names(store, held.record.id) == [[], [], []]
    assert store.picture(held.record.id, "filter-0") is None


def test_who_watches_is_shown_what_came_since(store: JobStore) -> None:
    record = a_record(chunks=3, combines=True)
    submit(store, record)
    seen = []
    for number in (0, 1):
        store.finish(claim(store), a_chunk_result(f"filter-{number}"))
        seen.append(store.revision(record.id))
    assert _names(store, record.id, after=-1) == _names(store, record.id) == [["filter-0"], ["filter-1"], [], []]
    assert _names(store, record.id, after=seen[0]) == [[], ["filter-1"], [], []]
    assert _names(store, record.id, after=seen[1]) == _names(store, record.id, after=1 << 52) == [[], [], [], []]
    store.finish(claim(store), a_chunk_result("filter-2"))
    store.finish(claim(store), a_chunk_result("sheet"))
    found = store.get(record.id, after=seen[1])
    assert (found.state, found.answer) == ("succeeded", None)
    assert _names(store, record.id, after=seen[1]) == [[], [], ["filter-2"], ["sheet"]]


def test_a_picture_is_found_by_its_name(store: JobStore) -> None:
    submit(store, a_record(chunks=3, combines=True))
    first, second, third = claim(store), claim(store), claim(store)
    job = first.record.id
    store.finish(second, _pictures("twice", "b-1.0", chunk=1))
    assert store.picture(job, "never") is None

    def find(name: str) -> tuple[str, float] | None:
        found = store.picture(job, name)
        return None if found is None else (found.image.file, found.expires)

    expires = store.get(job).expires
    assert find("twice") == ("results/1/twice.png", expires)
    # Of several of one name the one that the job lists first.
    store.finish(third, _pictures("twice", chunk=2))
    assert find("twice") == ("results/1/twice.png", expires)
    store.finish(first, _pictures("a", "twice", chunk=0))
    assert find("twice") == ("results/0/twice.png", expires)
    store.finish(claim(store), _pictures("twice", chunk=3))
    found = store.get(job)
    assert find("twice") == ("results/3/twice.png", found.expires)
    assert store.picture(job, "b-1.0") == Picture(found.chunks[1].images[1], found.expires)
    with pytest.raises(JobNotFoundError):
        store.picture("never", "twice")


def test_passing_faults_are_counted_apart_from_lost_workers(store: JobStore, hasty: JobStore) -> None:
    submit(store, a_record(chunks=2))
    counted = []
    for _ in range(5):
        held = claim(store)
        counted.append((held.chunk, held.attempt, held.retries))
        store.retry(held)
        store.retry(held)
        assert store.beat(held, 0.5) == "fenced"
    # To the tail: the other chunk is not kept waiting.
    assert counted == [(0, 1, 0), (1, 1, 0), (0, 2, 1), (1, 2, 1), (0, 3, 2)]
    chunks = store.get(held.record.id).chunks
    assert [(chunk.state, chunk.attempts, chunk.retries) for chunk in chunks] == [("queued", 3, 3), ("queued", 2, 2)]
    # Two workers may be lost, however many attempts have failed beside.
    lost = a_worker()
    assert claim(store, lost).retries == 2
    store.abandon(lost.process)
    assert claim(hasty).chunk == 0
    hasty.sweep()
    assert hasty.get(held.record.id).state == "running"
    assert claim(hasty).chunk == 1
    hasty.sweep()
    found = hasty.get(held.record.id)
    assert (found.state, found.error and found.error.code) == ("failed", "worker_lost")
    assert [(chunk.attempts, chunk.retries) for chunk in found.chunks] == [(4, 3), (4, 2)]


def test_a_retry_of_what_is_no_longer_held_does_nothing(store: JobStore) -> None:
    submit(store, a_record())
    held = claim(store)
    store.hand_back(held)
    store.retry(held)
    again = claim(store)
    assert (again.attempt, again.retries) == (1, 0)
    store.finish(again, a_chunk_result())
    store.retry(again)
    assert store.get(again.record.id).state == "succeeded"


def _sent(server: RedisServer) -> int:
    """Bytes that the server has sent to anybody."""
    found = re.search(r"total_net_output_bytes:(\d+)", server.command("INFO", "stats"))
    assert found is not None
    return int(found[1])


def test_redis_sends_the_results_of_chunks_to_nobody_but_the_reducer(redis_server: RedisServer) -> None:
    redis_server.command("FLUSHALL")
    store = RedisJobStore(redis_server.url, Rules())
    record = a_record(chunks=20, combines=True)
    submit(store, record)
    large = a_chunk_result().model_copy(update={"values": {"text": "x" * 100_000}})
    for number in range(19):
        store.finish(claim(store), large.model_copy(update={"images": _pictures(f"p{number}", chunk=number).images}))
    looks = [
        lambda: store.list(limit=50),
        lambda: store.get(record.id),
        lambda: store.get(record.id, after=0),
        lambda: store.revision(record.id),
        lambda: store.picture(record.id, "p7"),
    ]
    for look in looks:
        before = _sent(redis_server)
        assert look()
        assert _sent(redis_server) - before < 30_000
    before = _sent(redis_server)
    assert len(store.answers(record.id)) == 19
    assert _sent(redis_server) - before > 1_900_000
    store.close()
