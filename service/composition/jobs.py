"""Where jobs are kept, and who computes them: beside Redis, or in a process beside this one."""

import logging

from service.egress.addresses import parse_allowed
from service.egress.destinations import Destinations
from service.jobs.artifacts import Artifacts, StorageLimits
from service.jobs.reconciler import Reconciler, Supervisor, Workforce
from service.jobs.store.port import JobStore, Rules
from service.jobs.store.sqlite import SqliteJobStore
from service.jobs.webhooks.dispatcher import Dispatcher
from service.jobs.webhooks.sending import Sender
from service.jobs.worker.embedded import EmbeddedWorker
from service.jobs.worker.notifier import Notifier
from service.settings import Settings

logger = logging.getLogger(__name__)


def open_store(settings: Settings) -> JobStore:
    """The job records: in Redis where there is one, else in a file. What cannot be reached yet is no error here."""
    jobs = settings.jobs
    rules = Rules(
        lease_seconds=jobs.lease_seconds,
        result_seconds=jobs.result_seconds,
        max_attempts=jobs.max_attempts,
        idempotency_keys=settings.limits.idempotency_keys,
    )
    if settings.redis_url:
        # Not at the top: without Redis nothing of it is imported.
        from service.jobs.store.redis import RedisJobStore

        return RedisJobStore(settings.redis_url, rules)
    return SqliteJobStore(settings.data_folder / "jobs.sqlite", rules)


def open_artifacts(settings: Settings) -> Artifacts:
    """Where the pictures of jobs lie. What cannot be reached yet is no error here."""
    limits = settings.limits
    return Artifacts(settings.artifacts_url, StorageLimits(limits.input_bytes, limits.result_bytes))


def open_workforce(settings: Settings, store: JobStore) -> Workforce:
    """Who computes the jobs: workers behind Redis, or one process beside this one."""
    if settings.redis_url:
        # Not at the top: without Redis nothing of Celery is imported.
        from service.jobs.worker.celery_notifier import CeleryNotifier, make_celery

        return CeleryNotifier(make_celery(settings.redis_url), settings.redis_url)
    return EmbeddedWorker(store, settings.model_dump_json(), grace_seconds=settings.worker.grace_seconds)


def open_reconciler(
    settings: Settings, store: JobStore, artifacts: Artifacts, notifier: Notifier, supervisor: Supervisor
) -> Reconciler:
    jobs = settings.jobs
    dispatcher = open_dispatcher(settings, store)
    return Reconciler(store, artifacts, notifier, supervisor, jobs.sweep_seconds, jobs.cancel_seconds, dispatcher)


def open_dispatcher(settings: Settings, store: JobStore) -> Dispatcher:
    return Dispatcher(store, Sender(open_destinations(settings)), settings.public_url or settings.root_path)


def open_destinations(settings: Settings) -> Destinations:
    """Where the service sends what clients ask it to send."""
    return Destinations(parse_allowed(settings.webhooks_allow), "CONVSCOPE_WEBHOOKS_ALLOW")


def make_data_folder(settings: Settings) -> None:
    """Make it for its owner alone: it holds what clients sent. A failure stops nothing but jobs."""
    try:
        settings.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        logger.error("no jobs without the data folder (CONVSCOPE_DATA): %s", error)
