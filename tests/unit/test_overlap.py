"""Work that goes on while other work does."""

from collections.abc import Iterator
from threading import Barrier, Lock, get_ident

import numpy as np
import pytest

from service.engine.datasets.pipelining import PASSES, ask_each
from service.engine.kinds.context import Batch


def _batches(taken: list[int], count: int) -> Iterator[Batch]:
    for number in range(count):
        taken.append(get_ident())
        yield Batch((), np.full((1, 1, 1, 1), number, np.float32))


def test_answers_are_in_order_when_two_batches_are_in_the_network_at_once() -> None:
    meeting = Barrier(PASSES, timeout=30)
    lock = Lock()
    inside = most = 0

    def ask(batch: Batch) -> float:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        meeting.wait()
        with lock:
            inside -= 1
        return float(batch.inputs.sum())

    taken: list[int] = []
    found = [(float(batch.inputs.sum()), answer) for batch, answer in ask_each(ask, _batches(taken, 4 * PASSES))]
    assert found == [(number, number) for number in range(4 * PASSES)]
    assert most == PASSES
    # What makes the batches reports progress, and may be told to stop: it stays on its own thread.
    assert set(taken) == {get_ident()}


def test_no_more_batches_are_taken_when_one_fails() -> None:
    def ask(batch: Batch) -> None:
        if batch.inputs.sum() == 1:
            raise ValueError("one")

    taken: list[int] = []
    with pytest.raises(ValueError, match="one"):
        list(ask_each(ask, _batches(taken, 100)))
    assert len(taken) <= 1 + PASSES
