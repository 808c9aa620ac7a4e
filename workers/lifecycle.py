"""A worker's life, by Celery's signals: a name, warm children, a reconciler in the parent, handing back at the end."""

import logging
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from celery.signals import (
    after_setup_logger,
    after_setup_task_logger,
    celeryd_init,
    worker_process_init,
    worker_ready,
    worker_shutting_down,
)

from service.composition.jobs import make_data_folder, open_artifacts, open_reconciler, open_store
from service.composition.limits import image_limits, job_limits
from service.composition.models import READINESS_MODEL, open_catalog
from service.engine.methods import METHODS
from service.errors import ConvscopeError
from service.jobs.store.errors import JobsUnavailableError
from service.jobs.store.port import JobStore, Overdue, Worker
from service.jobs.worker.celery_notifier import CeleryNotifier
from service.jobs.worker.execution import Execution, Retries
from service.logs import PlainFormatter
from service.models.catalog import Catalog
from workers.app import app, settings

if TYPE_CHECKING:
    from celery.app.utils import Settings as CelerySettings
    from celery.worker.consumer import Consumer

logger = logging.getLogger(__name__)

# How the children, which are fresh interpreters, learn whose they are and how many threads are theirs.
_NAME: Final = "CONVSCOPE_WORKER_NAME"
_THREADS: Final = "CONVSCOPE_WORKER_THREADS"


@dataclass(frozen=True)
class Equipment:
    """What a child works with."""

    catalog: Catalog
    execution: Execution
    worker: Worker
    notifier: CeleryNotifier


@cache
def equipment() -> Equipment:
    """This child's own, made once."""
    catalog = open_catalog(settings, threads=int(os.environ[_THREADS]))
    catalog.start(settings.models_refresh_seconds)
    execution = Execution(
        _store(),
        open_artifacts(settings),
        catalog,
        methods=METHODS,
        image_limits=image_limits(settings),
        job_limits=job_limits(settings),
        lease_seconds=settings.jobs.lease_seconds,
        retries=Retries(settings.jobs.max_attempts),
    )
    name = os.environ[_NAME]
    return Equipment(catalog, execution, Worker(name, f"{name}:{os.getpid()}"), _notifier())


@cache
def _store() -> JobStore:
    return open_store(settings)


@cache
def _notifier() -> CeleryNotifier:
    return CeleryNotifier(app, settings.redis_url)


@after_setup_logger.connect
@after_setup_task_logger.connect
def _write_plainly(logger: logging.Logger, **_: object) -> None:
    for handler in logger.handlers:
        handler.setFormatter(PlainFormatter(app.conf.worker_log_format))


@celeryd_init.connect
def _prepare_children(conf: "CelerySettings", options: dict[str, Any], **_: object) -> None:
    make_data_folder(settings)
    concurrency = int(options.get("concurrency") or conf.worker_concurrency)
    os.environ[_NAME] = f"worker-{uuid4().hex}"
    os.environ[_THREADS] = str(max(1, len(os.sched_getaffinity(0)) // concurrency))


@worker_process_init.connect
def _warm_up(**_: object) -> None:
    """Import TensorFlow and run a model, so that the first job need not wait for it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        equipment().catalog.model(READINESS_MODEL)
    except ConvscopeError as error:
        logger.error("process %d is not warm, as the built-in model does not load: %s", os.getpid(), error)
    else:
        logger.info("process %d is warm", os.getpid())


class _Pool:
    """The children of this worker, as the reconciler's Supervisor."""

    def __init__(self, consumer: "Consumer") -> None:
        self.name = os.environ[_NAME]
        self._consumer = consumer

    def stop_process(self, overdue: Overdue) -> None:
        pid = int(overdue.worker.process.rpartition(":")[2])
        # Celery starts another in its place, and tells nobody of the task: the store knows.
        if any(child.pid == pid for child in self._consumer.pool._pool._pool):
            os.kill(pid, signal.SIGKILL)


@worker_ready.connect
def _look_after_jobs(sender: "Consumer", **_: object) -> None:
    open_reconciler(settings, _store(), open_artifacts(settings), _notifier(), _Pool(sender)).start()


@worker_shutting_down.connect
def _hand_back(**_: object) -> None:
    """SIGTERM reaches the parent alone: the children learn from the store to hand back what they hold."""
    with suppress(JobsUnavailableError):
        _store().release(os.environ[_NAME])
