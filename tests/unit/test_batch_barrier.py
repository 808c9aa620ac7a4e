"""A group at a barrier: who is answered together, however long each takes, and who no longer comes along."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from service.engine.datasets.batch_barrier import BatchBarrier


class Desk:
    """A computation that notes what it was asked together."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def compute(self, items: Sequence[str]) -> list[str]:
        self.batches.append(list(items))
        if "bad" in items:
            raise ValueError("bad")
        return [item.upper() for item in items]


def _go(items: Sequence[Sequence[str]], keys: Sequence[str] = ("", "", "")) -> tuple[Desk, list[list[str]]]:
    """Threads that ask for their items one after the other, the first of them always late; what each was answered."""
    desk, barrier = Desk(), BatchBarrier(len(items))

    def go(place: int) -> list[str]:
        answers = []
        try:
            for item in items[place]:
                sleep(0.02 * (place == 0))
                answers.append(barrier.participant(place).compute("model", keys[place], item, desk.compute))
        finally:
            barrier.leave()
        return answers

    with ThreadPoolExecutor(len(items)) as threads:
        futures = [threads.submit(go, place) for place in range(len(items))]
    return desk, [future.result() for future in futures]


def test_all_are_answered_together_when_all_ask():
    desk, answers = _go([["a", "d"], ["b", "e"], ["c", "f"]])
    assert desk.batches == [["a", "b", "c"], ["d", "e", "f"]]
    assert answers == [["A", "D"], ["B", "E"], ["C", "F"]]


def test_the_rest_go_on_when_some_have_left():
    desk, answers = _go([[], ["b", "e"], ["c"]])
    assert desk.batches == [["b", "c"], ["e"]]
    assert answers == [[], ["B", "E"], ["C"]]


def test_questions_are_answered_apart_when_they_do_not_go_together():
    desk, _ = _go([["a"], ["b"], ["c"]], keys=("x", "y", "x"))
    assert desk.batches == [["a", "c"], ["b"]]


def test_only_one_fails_when_the_fault_is_its_own():
    with pytest.raises(ValueError, match="bad"):
        _go([["a"], ["bad"], ["c"]])
    desk = Desk()
    barrier = BatchBarrier(2)

    def go(place: int, item: str) -> str:
        try:
            return str(barrier.participant(place).compute("model", "", item, desk.compute))
        except ValueError:
            return "failed"
        finally:
            barrier.leave()

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(go, (0, 1), ("a", "bad"))) == ["A", "failed"]
