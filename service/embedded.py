"""The composition root of the embedded worker: the process that computes jobs where there is no Redis.

The service starts it and speaks over its standard input: the settings in the first line, then a line for every wake-up.
The end of that input is the end of the service, and of this process.
"""

import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from threading import Event, Thread
from typing import Final

from schemas.tasks import QUEUES
from service.composition.jobs import open_artifacts, open_store
from service.composition.limits import image_limits, job_limits
from service.composition.models import READINESS_MODEL, open_catalog
from service.engine.methods import METHODS
from service.errors import ConvscopeError
from service.jobs.store.errors import JobsUnavailableError
from service.jobs.store.port import JobStore, Worker
from service.jobs.worker.execution import Execution, Retries
from service.logs import configure_logging
from service.settings import Settings

logger = logging.getLogger(__name__)

# From the end of the service until this process ends itself, whatever it is in the middle of.
_GRACE_SECONDS: Final = 10.0


class _WakeUp(Event):
    """Set when there may be work, or when all is over; `ready` once chunks are claimed."""

    def __init__(self) -> None:
        super().__init__()
        self.over = False
        self.ready = False


def main(name: str, process: str) -> None:
    """Work until the service ends, or until this process has grown larger than it may."""
    # Ctrl-C goes to the whole group; the service tells this process when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = Settings.model_validate_json(sys.stdin.buffer.readline())
    configure_logging()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    store = open_store(settings)
    catalog = open_catalog(settings)
    execution = Execution(
        store,
        open_artifacts(settings),
        catalog,
        methods=METHODS,
        image_limits=image_limits(settings),
        job_limits=job_limits(settings),
        lease_seconds=settings.jobs.lease_seconds,
        retries=Retries(settings.jobs.max_attempts),
    )
    wake_up = _WakeUp()
    Thread(target=_listen, args=(wake_up, store, name), name="wake-up", daemon=True).start()
    with suppress(ConvscopeError):
        # Importing TensorFlow takes seconds: not those of the first job.
        catalog.model(READINESS_MODEL)
    catalog.start(settings.models_refresh_seconds)
    logger.info("the embedded worker is ready")
    wake_up.ready = True
    while not wake_up.over and _peak_bytes() < settings.worker.max_memory_bytes:
        if not _work(execution, Worker(name, process)):
            execution.release_inputs()
            wake_up.wait(settings.jobs.sweep_seconds)
            wake_up.clear()
    catalog.close()


def _work(execution: Execution, worker: Worker) -> bool:
    try:
        return any(execution.work(queue, worker) for queue in QUEUES)
    except JobsUnavailableError as error:
        logger.warning("no work: %s", error.detail)
        return False


def _listen(wake_up: _WakeUp, store: JobStore, name: str) -> None:
    while sys.stdin.buffer.readline():
        wake_up.set()
    wake_up.over = True
    wake_up.set()
    if not wake_up.ready:
        # It holds nothing, and importing TensorFlow cannot be interrupted.
        os._exit(0)
    with suppress(JobsUnavailableError):
        store.release(name)
    # A daemon thread: it ends with the process where that ends in time.
    Event().wait(_GRACE_SECONDS)
    os._exit(1)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
