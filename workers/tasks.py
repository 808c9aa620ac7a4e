"""The one task: a wake-up that was heard. What there is to do stands in the job store, not in the message."""

from itertools import count
from time import monotonic
from typing import Final

from schemas.tasks import WORK_TASK
from workers.app import app, settings
from workers.lifecycle import equipment
from workers.pool import ask_for_replacement

# A task that works longer than this rings for the next, so that Celery's limits per task keep their meaning.
_SHIFT_SECONDS: Final = 5.0


# Of this process: those that found something to compute.
_tasks: Final = count(1)


@app.task(name=WORK_TASK)
def work(queue: str) -> None:
    """Compute the oldest chunks of the queue, one after the other, until none waits or the shift is over."""
    here = equipment()
    end = monotonic() + _SHIFT_SECONDS
    found = False
    while here.execution.work(queue, here.worker):
        if not found and next(_tasks) == settings.worker.max_tasks:
            ask_for_replacement()
        found = True
        if monotonic() > end:
            here.notifier.notify(queue, 1)
            return
    here.execution.release_inputs()
