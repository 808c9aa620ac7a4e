"""The one task: a bell that was heard. What there is to do stands in the job store, not in the message."""

from time import monotonic
from typing import Final

from schemas.tasks import WORK_TASK
from workers.app import app
from workers.lifecycle import equipment

# A task that works longer than this rings for the next, so that Celery's limits per task keep their meaning.
_SHIFT_SECONDS: Final = 5.0


@app.task(name=WORK_TASK)
def work(queue: str) -> None:
    """Compute the oldest chunks of the queue, one after the other, until none waits or the shift is over."""
    here = equipment()
    end = monotonic() + _SHIFT_SECONDS
    while here.execution.work(queue, here.worker):
        if monotonic() > end:
            here.doorbell.ring(queue, 1)
            return
    here.execution.rest()
