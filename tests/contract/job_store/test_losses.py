"""Workers that are lost, or leave."""

from service.jobs.store.port import (
    JobStore,
    Rules,
)
from tests.contract.job_store.jobs import ERROR, Opening, a_chunk_result, a_record, a_worker, an_answer, claim, submit


def test_a_chunk_goes_to_the_tail_with_its_attempts_when_its_lease_ends(hasty: JobStore) -> None:
    record = a_record(chunks=2)
    submit(hasty, record)
    lost = claim(hasty)
    hasty.beat(lost, 0.5)
    revision = hasty.revision(record.id)
    assert hasty.sweep().queued == {"cpu": 2}
    chunk = hasty.get(record.id).chunks[0]
    assert (chunk.state, chunk.attempts, chunk.progress) == ("queued", 1, 0.0)
    assert hasty.revision(record.id) == revision + 1
    assert claim(hasty).chunk == 1
    again = claim(hasty)
    assert (again.chunk, again.attempt) == (0, 2)
    assert again.fence > lost.fence


def test_a_zombie_is_fenced_whether_its_chunk_is_claimed_anew_or_not(hasty: JobStore) -> None:
    submit(hasty, a_record())
    zombie = claim(hasty)
    hasty.sweep()
    assert hasty.beat(zombie, 0.9) == hasty.finish(zombie, a_chunk_result()) == "fenced"
    held = claim(hasty)
    assert hasty.beat(zombie, 0.9) == hasty.finish(zombie, ERROR) == "fenced"
    hasty.hand_back(zombie)
    assert hasty.finish(held, a_chunk_result("right")) == "continue"
    assert hasty.beat(zombie, 0.9) == hasty.finish(zombie, a_chunk_result("wrong")) == "fenced"
    found = hasty.get(held.record.id)
    assert (found.state, found.answer) == ("succeeded", an_answer("right"))


def test_a_process_claims_something_new_when_its_lease_has_ended(hasty: JobStore) -> None:
    submit(hasty, a_record(chunks=2))
    worker = a_worker()
    assert claim(hasty, worker).chunk == 0
    hasty.sweep()
    assert claim(hasty, worker).chunk == 1


def test_a_job_fails_when_too_many_workers_were_lost(hasty: JobStore) -> None:
    record = a_record(chunks=2)
    submit(hasty, record)
    claim(hasty)
    hasty.sweep()
    other, last = claim(hasty), claim(hasty)
    assert last.attempt == 2
    hasty.beat(other, 0.5)
    hasty.sweep()
    found = hasty.get(record.id)
    assert found.state == "failed"
    assert found.error is not None
    assert found.error.code == "worker_lost"
    assert "memory" in found.error.detail
    assert found.chunks[0].state == "failed"
    assert hasty.finish(last, a_chunk_result()) == "fenced"
    assert hasty.sweep().queued == {}
    assert hasty.claim("cpu", a_worker()) is None


def test_what_a_dead_process_holds_is_taken_back_when_it_is_abandoned(make: Opening) -> None:
    store = make(Rules(max_attempts=2))
    submit(store, a_record())
    worker = a_worker()
    lost = claim(store, worker)
    store.abandon(worker.process)
    store.abandon(worker.process)
    store.abandon("somebody unknown")
    assert store.beat(lost, 0.5) == "fenced"
    second = a_worker()
    assert claim(store, second).attempt == 2
    store.abandon(second.process)
    assert store.get(lost.record.id).state == "failed"


def test_a_chunk_handed_back_is_the_next_and_costs_no_attempt(store: JobStore) -> None:
    submit(store, a_record(chunks=2))
    held = claim(store)
    store.beat(held, 0.5)
    revision = store.revision(held.record.id)
    store.hand_back(held)
    store.hand_back(held)
    chunk = store.get(held.record.id).chunks[0]
    assert (chunk.state, chunk.attempts, chunk.progress) == ("queued", 0, 0.0)
    assert store.revision(held.record.id) == revision + 1
    assert store.beat(held, 0.6) == store.finish(held, a_chunk_result()) == "fenced"
    again = claim(store)
    assert (again.chunk, again.attempt) == (0, 1)
    assert again.fence > held.fence
    store.hand_back(held)
    assert store.beat(again, 0.1) == "continue"


def test_processes_of_a_released_worker_hear_of_it_and_claim_nothing_more(store: JobStore) -> None:
    submit(store, a_record(chunks=3))
    mine, other = a_worker("leaving"), a_worker("staying")
    held, kept = claim(store, mine), claim(store, other)
    store.release("leaving")
    assert store.beat(kept, 0.1) == "continue"
    assert store.beat(held, 0.1) == store.beat(held, 0.1) == "release"
    store.hand_back(held)
    assert store.claim("cpu", mine) is None
    assert store.claim("cpu", a_worker("leaving")) is None
    assert store.get(held.record.id).chunks[0].attempts == 0
    assert claim(store).chunk == 0


def test_a_released_process_may_still_finish(store: JobStore) -> None:
    submit(store, a_record())
    held = claim(store, a_worker("leaving"))
    store.release("leaving")
    assert store.finish(held, a_chunk_result()) == "continue"
    assert store.get(held.record.id).state == "succeeded"


def test_a_released_process_that_claims_again_gives_back_what_it_holds(store: JobStore) -> None:
    submit(store, a_record())
    worker = a_worker("leaving")
    held = claim(store, worker)
    store.release("leaving")
    assert store.claim("cpu", worker) is None
    assert store.get(held.record.id).chunks[0].attempts == 0
    assert claim(store).chunk == 0
