"""Owners take turns: thousands of chunks of one delay another's by as many as there are owners, not by thousands."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.jobs.store.port import Claim, JobStore
from tests.contract.job_store.jobs import a_chunk_result, a_record, a_worker, claim, submit

QUICK = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
KINDS = ["submit", "claim", "claim", "claim", "retry", "finish", "cancel", "delete"]
STEP = st.tuples(st.sampled_from(KINDS), st.sampled_from(["", "a", "b", "a:b"]), st.integers(0, 9))


def _owners(store: JobStore, count: int) -> list[str]:
    return [claim(store).record.owner for _ in range(count)]


def test_a_late_owner_waits_for_one_chunk_of_each_other(store: JobStore) -> None:
    for _ in range(3):
        submit(store, a_record(chunks=30, owner="a"))
    submit(store, a_record(chunks=20, owner="b"))
    assert _owners(store, 2) == ["a", "b"]
    submit(store, a_record(chunks=2, owner="c"))
    assert _owners(store, 7) == ["a", "b", "c", "a", "b", "c", "a"]
    # Who has nothing left is passed over.
    assert _owners(store, 4) == ["b", "a", "b", "a"]


def test_turns_are_taken_in_each_queue_apart(store: JobStore) -> None:
    submit(store, a_record(chunks=2, owner="a"))
    submit(store, a_record(chunks=2, owner="b").model_copy(update={"queue": "gpu"}))
    submit(store, a_record(owner="b"))
    assert _owners(store, 3) == ["a", "b", "a"]
    held = store.claim("gpu", a_worker())
    assert held is not None
    assert (held.record.owner, held.chunk) == ("b", 0)


def test_who_comes_again_has_its_turn_after_those_who_wait(store: JobStore) -> None:
    submit(store, a_record(chunks=5, owner="a"))
    submit(store, a_record(owner="b"))
    assert _owners(store, 2) == ["a", "b"]
    submit(store, a_record(chunks=2, owner="b"))
    assert _owners(store, 4) == ["a", "b", "a", "b"]


def test_a_chunk_handed_back_is_the_next_whose_turn_it_is_meanwhile(store: JobStore) -> None:
    submit(store, a_record(chunks=3, owner="a"))
    submit(store, a_record(chunks=2, owner="b"))
    held = claim(store)
    store.hand_back(held)
    again = claim(store)
    assert (again.record, again.chunk, again.attempt) == (held.record, 0, 1)
    assert _owners(store, 2) == ["b", "a"]


def test_a_chunk_that_is_tried_again_waits_behind_its_owners(store: JobStore) -> None:
    submit(store, a_record(chunks=2, owner="a"))
    submit(store, a_record(chunks=3, owner="b"))
    store.retry(claim(store))
    found = [claim(store) for _ in range(5)]
    assert [(held.record.owner, held.chunk) for held in found] == [("b", 0), ("a", 1), ("b", 1), ("a", 0), ("b", 2)]


def test_a_combining_chunk_takes_no_turn_of_another(store: JobStore) -> None:
    submit(store, a_record(chunks=1, combines=True, owner="a"))
    submit(store, a_record(chunks=3, owner="a"))
    held = claim(store)
    submit(store, a_record(chunks=2, owner="b"))
    submit(store, a_record(chunks=2, owner="c"))
    store.finish(held, a_chunk_result())
    found = [claim(store) for _ in range(4)]
    # Before its owner's others, when the owner's turn comes.
    assert [(held.record.owner, held.chunk) for held in found] == [("a", 1), ("b", 0), ("c", 0), ("a", 0)]


def test_an_owner_is_forgotten_when_its_job_is(store: JobStore) -> None:
    gone = submit(store, a_record(chunks=3, owner="a")).id
    ended = submit(store, a_record(chunks=3, owner="b")).id
    submit(store, a_record(chunks=2, owner="c"))
    store.delete(gone)
    store.cancel(ended)
    assert _owners(store, 2) == ["c", "c"]
    assert store.claim("cpu", a_worker()) is None
    submit(store, a_record(owner="b"))
    submit(store, a_record(owner="a"))
    assert _owners(store, 2) == ["b", "a"]


class _Turns:
    """What waits, by owner and in order, and how often others were served while somebody waited."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._lanes: dict[str, list[tuple[str, int]]] = {}
        self._passed: dict[str, Counter[str]] = {}
        self._held: list[Claim] = []
        self._jobs: list[str] = []

    def step(self, kind: str, owner: str, number: int) -> None:
        match kind:
            case "submit":
                self._submit(owner, 1 + number % 4)
            case "claim":
                self.claim()
            case "retry" | "finish" if self._held:
                self._report(kind, self._held.pop(number % len(self._held)))
            case "cancel" | "delete" if self._jobs:
                self._end(kind, self._jobs.pop(number % len(self._jobs)))
        # Who has nothing waiting waits for nothing; who has begun to does so from now on.
        self._passed = {owner: self._passed.get(owner, Counter()) for owner, lane in self._lanes.items() if lane}

    def claim(self) -> bool:
        found = self._store.claim("cpu", a_worker())
        assert (found is None) == (not any(self._lanes.values()))
        if found is None:
            return False
        owner = found.record.owner
        assert self._lanes[owner].pop(0) == (found.record.id, found.chunk)
        self._passed.pop(owner, None)
        for served in self._passed.values():
            served[owner] += 1
            assert served[owner] <= 1
        self._held.append(found)
        return True

    def _submit(self, owner: str, count: int) -> None:
        job = submit(self._store, a_record(chunks=count, owner=owner)).id
        self._jobs.append(job)
        self._lanes.setdefault(owner, []).extend((job, number) for number in range(count))

    def _report(self, kind: str, held: Claim) -> None:
        if kind == "finish":
            self._store.finish(held, a_chunk_result())
            return
        self._store.retry(held)
        self._lanes[held.record.owner].append((held.record.id, held.chunk))

    def _end(self, kind: str, job: str) -> None:
        if kind == "delete":
            self._store.delete(job)
        elif self._store.get(job).state in {"queued", "running"}:
            self._store.cancel(job)
        self._held = [held for held in self._held if held.record.id != job]
        self._lanes = {owner: [one for one in lane if one[0] != job] for owner, lane in self._lanes.items()}


@QUICK
@given(steps=st.lists(STEP, min_size=20, max_size=40))
def test_nobody_waits_longer_than_a_fair_share(store: JobStore, steps: Sequence[tuple[str, str, int]]) -> None:
    """Between two chunks of an owner who has some waiting, each other gets one at most; each has its own in order."""
    turns = _Turns(store)
    for step in steps:
        turns.step(*step)
    while turns.claim():
        turns.step("none", "", 0)
    for job in store.list(limit=1000):
        store.delete(job.record.id)


@QUICK
@given(counts=st.lists(st.integers(1, 3), max_size=8))
def test_first_come_is_first_served_when_there_is_one_owner(store: JobStore, counts: Sequence[int]) -> None:
    records = [a_record(chunks=count) for count in counts]
    for record in records:
        submit(store, record)
    expected = [(record.id, number) for record in records for number in range(len(record.chunks))]
    assert [(held.record.id, held.chunk) for held in (claim(store) for _ in expected)] == expected
    for record in records:
        store.delete(record.id)
