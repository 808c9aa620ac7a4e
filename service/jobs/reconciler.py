"""The look around, every few seconds, in every process that looks after workers: nothing stays lost for longer."""

import logging
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic
from typing import Final, Protocol

from service.errors import ConvscopeError
from service.jobs.artifacts import Artifacts
from service.jobs.store.port import JobStore, Overdue
from service.jobs.webhooks.dispatcher import Dispatcher
from service.jobs.worker.notifier import Notifier

logger = logging.getLogger(__name__)

# Orphans are rare; finding them reads the whole folder.
COLLECT_SECONDS: Final = 3600.0


class Supervisor(Protocol):
    """Whoever keeps the processes of one worker, and can end one of them."""

    @property
    def name(self) -> str: ...

    def stop_process(self, overdue: Overdue) -> None:
        """End the process, if it is still one of this worker's."""
        ...


class Workforce(Notifier, Supervisor, Protocol):
    """Who computes a service's jobs, seen from the service."""

    def start(self) -> None:
        """Make ready for the first job, where that is this process's business."""
        ...

    def close(self) -> None: ...


@dataclass
class Reconciler:
    """Rounds on a thread of its own: overdue leases are ended, wake-ups sent again, what has expired is removed.

    A process of the supervised worker that has not noticed within `cancel_seconds` that its job has ended is stopped.
    Rounds of several processes do not disturb each other: the store's sweep is atomic. Webhooks are sent beside them,
    on threads of their own.
    """

    store: JobStore
    artifacts: Artifacts
    notifier: Notifier
    supervisor: Supervisor
    sweep_seconds: float
    cancel_seconds: float
    dispatcher: Dispatcher
    _collected: float = field(default=-COLLECT_SECONDS, init=False)
    _closed: Event = field(default_factory=Event, init=False)

    def start(self) -> None:
        Thread(target=self._run, name="reconciler", daemon=True).start()
        self.dispatcher.start()

    def close(self) -> None:
        self._closed.set()
        self.dispatcher.close()

    def reconcile_once(self) -> None:
        """One round. Raises JobsUnavailableError or StorageUnavailableError; what was done stays done."""
        sweep = self.store.sweep()
        for queue, count in sweep.queued.items():
            if count:
                self.notifier.notify(queue, count)
        for overdue in self.store.overdue(self.supervisor.name, self.cancel_seconds):
            logger.warning("job %s has ended, but process %s goes on: ending it", overdue.job, overdue.worker.process)
            self.supervisor.stop_process(overdue)
        if sweep.expired:
            self.artifacts.remove_jobs(sweep.expired)
        self.artifacts.renew_quotas()
        if monotonic() - self._collected > COLLECT_SECONDS:
            self._collected = monotonic()
            self.artifacts.collect(self.store.known, self.store.inputs, older_than_seconds=COLLECT_SECONDS)

    def _run(self) -> None:
        while not self._closed.wait(self.sweep_seconds):
            try:
                self.reconcile_once()
            except ConvscopeError as error:
                logger.warning("looking after the jobs failed: %s", error.detail)
            except Exception:
                logger.exception("looking after the jobs failed unexpectedly")
