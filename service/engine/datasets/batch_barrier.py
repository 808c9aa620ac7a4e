"""A group of threads that go through the same method, each with a picture of its own: what all ask is answered at once.

Unlike on a device shared by strangers nobody goes ahead, so that who is computed with whom never depends on time.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from threading import Condition
from typing import Any

from service.engine.batching import Call, Compute, answer_together


class BatchBarrier:
    """Waits until each of `group` threads has asked or left, and then answers all, in the order of their places."""

    def __init__(self, group: int) -> None:
        self._condition = Condition()
        # Who neither waits nor has left.
        self._busy = group
        self._asked: dict[int, Call] = {}

    def participant(self, place: int) -> "Participant":
        """The place of one thread."""
        return Participant(self, place)

    def ask(self, place: int, call: Call) -> None:
        """Wait until the call has its outcome."""
        with self._condition:
            self._asked[place] = call
            self._stop_one()
            while not call.done.is_set():
                self._condition.wait()

    def leave(self) -> None:
        """To be called once by each thread in the end, whatever became of it."""
        with self._condition:
            self._stop_one()

    def _stop_one(self) -> None:
        self._busy -= 1
        if self._busy:
            return
        calls = [call for _, call in sorted(self._asked.items())]
        self._asked.clear()
        groups: dict[Hashable, list[Call]] = {}
        for call in calls:
            groups.setdefault(call.key, []).append(call)
        for group in groups.values():
            answer_together(group)
        self._busy = len(calls)
        for call in calls:
            call.done.set()
        self._condition.notify_all()


@dataclass(frozen=True)
class Participant:
    """One thread's place: a Merger."""

    barrier: BatchBarrier
    place: int

    def compute(self, model: str, key: Hashable, item: Any, compute: Compute) -> Any:
        """See Merger."""
        call = Call(model, key, item, compute)
        self.barrier.ask(self.place, call)
        if call.error is not None:
            raise call.error
        return call.outcome
