"""Celery's pool of processes, whose children ask to be replaced. Knows no task.

Celery's own limit (`worker_max_tasks_per_child`) counts every task: wake-ups that find nothing would replace processes
that are warm.
"""

import sys
from collections.abc import Callable
from threading import Event
from typing import Final

from celery.concurrency import asynpool, prefork

_replaced: Final = Event()


def ask_for_replacement() -> None:
    """Have a fresh process take the place of this one, once the task at hand has ended."""
    _replaced.set()


class Child(asynpool.Worker):  # type: ignore[misc]
    """Leaves before it takes the next task, where it has asked to."""

    wait_for_job: Callable[[], object]

    def workloop(self, *arguments: object, **named: object) -> object:
        self.wait_for_job = _unless_replaced(self.wait_for_job)
        return super().workloop(*arguments, **named)


class _Processes(asynpool.AsynPool):  # type: ignore[misc]
    Worker = Child


class Pool(prefork.TaskPool):  # type: ignore[misc]
    """To be named as `worker_pool`."""

    Pool = _Processes


def _unless_replaced(wait: Callable[[], object]) -> Callable[[], object]:
    def wait_or_leave() -> object:
        if _replaced.is_set():
            # A status by which the pool knows that nothing is wrong.
            sys.exit(0)
        return wait()

    return wait_or_leave
