"""The look around, every few seconds, in every process that looks after workers: nothing stays lost for longer."""

import logging
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic
from typing import Final

from service.errors import ConvscopeError
from service.jobs.artifacts import Artifacts
from service.jobs.doorbell import Doorbell
from service.jobs.store import JobStore, Overdue

logger = logging.getLogger(__name__)

# Orphans are rare; finding them reads the whole folder.
COLLECT_SECONDS: Final = 3600.0


class Reconciler:
    """Rounds on a thread of its own: overdue leases are ended, bells rung again, what has expired is removed.

    `stop_process` ends a process of this worker that has not noticed that its job has ended. Rounds of several
    processes do not disturb each other: the store's sweep is atomic.
    """

    def __init__(  # noqa: PLR0913 - the four things it keeps in order, and two periods
        self,
        store: JobStore,
        artifacts: Artifacts,
        doorbell: Doorbell,
        stop_process: Callable[[Overdue], None],
        *,
        worker_name: str,
        sweep_seconds: float,
        cancel_seconds: float,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._doorbell = doorbell
        self._stop_process = stop_process
        self._worker_name = worker_name
        self._sweep_seconds = sweep_seconds
        self._cancel_seconds = cancel_seconds
        self._collected = -COLLECT_SECONDS
        self._closed = Event()
        self._thread = Thread(target=self._run, name="reconciler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()

    def look(self) -> None:
        """One round. Raises JobsUnavailableError or StorageUnavailableError; what was done stays done."""
        sweep = self._store.sweep()
        for queue, count in sweep.queued.items():
            if count:
                self._doorbell.ring(queue, count)
        for overdue in self._store.overdue(self._worker_name, self._cancel_seconds):
            logger.warning("job %s has ended, but process %s goes on: ending it", overdue.job, overdue.worker.process)
            self._stop_process(overdue)
        if sweep.expired:
            self._artifacts.remove_jobs(sweep.expired)
        if monotonic() - self._collected > COLLECT_SECONDS:
            self._collected = monotonic()
            self._artifacts.collect(self._store.known, self._store.inputs, older_than_seconds=COLLECT_SECONDS)

    def _run(self) -> None:
        while not self._closed.wait(self._sweep_seconds):
            try:
                self.look()
            except ConvscopeError as error:
                logger.warning("looking after the jobs failed: %s", error.detail)
            except Exception:
                logger.exception("looking after the jobs failed unexpectedly")
