"""What the routes of one application share, opened as the settings say."""

from threading import Event
from typing import Final

from service.api.dependencies import Services, Times
from service.api.metrics import Metrics
from service.api.requests.admission import Admission, AdmissionLimits
from service.api.requests.bodies import BodyLimits, largest_memory
from service.api.requests.executor import BoundedExecutor, Slots
from service.api.requests.rates import Rates
from service.api.requests.uploads import Uploads
from service.api.requests.webhooks import WebhookChecks
from service.api.result_cache import ResultCache
from service.api.watching import JobServices
from service.composition.jobs import open_destinations
from service.composition.limits import cell_bounds, image_limits, job_rules, owner_limits
from service.composition.models import open_batcher, open_datasets, open_shared_catalog
from service.engine.allowance import Memory
from service.jobs.artifacts import Artifacts
from service.jobs.store.port import JobStore
from service.jobs.submission import Submissions
from service.jobs.worker.notifier import Notifier
from service.settings import Settings

# Threads for calls of the job store and the artifacts, which wait far more than they compute; and how many calls may
# wait for one.
_STORE_THREADS: Final = 16
_STORE_WAITING: Final = 512
# Bodies taken apart at the same time. Parsers hold the interpreter's lock: more of them would be no faster, and would
# keep the event loop waiting.
_PARSERS: Final = 2
# Threads that check datasets, which Python does mostly: more would only take turns.
_DATASET_THREADS: Final = 2
# How long a request waits until there is memory for its picture: others take a second or two.
_MEMORY_PATIENCE_SECONDS: Final = 10.0
# Threads that look the hosts of webhooks up, which only wait.
_LOOKUP_THREADS: Final = 4


def open_services(settings: Settings, store: JobStore, artifacts: Artifacts, notifier: Notifier) -> Services:
    """All of them, watched by metrics of their own."""
    limits = settings.limits
    metrics = Metrics()
    device = open_batcher(settings, metrics)
    services = Services(
        catalog=open_shared_catalog(settings, device, metrics),
        admission=_open_admission(settings),
        rates=Rates(limits.owner_requests_per_minute, settings.redis_url),
        executor=BoundedExecutor(running=limits.running_requests, waiting=limits.waiting_requests),
        parsing=BoundedExecutor(
            running=_PARSERS, waiting=limits.running_requests + limits.waiting_requests, name="parse"
        ),
        results=ResultCache(limits.result_cache_bytes, metrics),
        metrics=metrics,
        jobs=_open_jobs(settings, store, artifacts, notifier),
        datasets=open_datasets(settings),
        dataset_checks=BoundedExecutor(running=_DATASET_THREADS, waiting=limits.waiting_requests, name="datasets"),
        dataset_uploads=Uploads(
            limits.dataset_uploads, slowest=limits.max_image_bytes / limits.dataset_timeout_seconds
        ),
        memory=_open_memory(settings),
        times=Times(limits.request_seconds, limits.dataset_check_seconds),
        webhooks=WebhookChecks(
            open_destinations(settings),
            BoundedExecutor(running=_LOOKUP_THREADS, waiting=limits.waiting_requests, name="lookup"),
        ),
        image_limits=image_limits(settings),
        body_limits=_body_limits(settings),
        jobs_mode=settings.jobs_mode,
        cell_bounds=cell_bounds(settings),
        ready=Event(),
    )
    metrics.watch(services.executor, device, store)
    metrics.watch_admission(services.admission)
    return services


def _open_jobs(settings: Settings, store: JobStore, artifacts: Artifacts, notifier: Notifier) -> JobServices:
    limits = settings.limits
    return JobServices(
        store=store,
        artifacts=artifacts,
        submissions=Submissions(store, artifacts, notifier, max_queued=limits.queued_jobs),
        rules=job_rules(settings),
        owner_limits=owner_limits(settings),
        executor=BoundedExecutor(running=_STORE_THREADS, waiting=_STORE_WAITING, name="jobs"),
        streams=Slots(limits.event_streams),
        waiters=Slots(limits.event_streams),
        max_wait_seconds=settings.jobs.max_wait_seconds,
        stopping=Event(),
    )


def _open_admission(settings: Settings) -> Admission:
    limits = settings.limits
    return Admission(
        AdmissionLimits(
            running=limits.running_requests,
            waiting=limits.waiting_requests,
            # However little: the largest body has room, beside the quarter that is kept for small ones.
            body_bytes=max(limits.body_bytes, largest_memory(_body_limits(settings)) * 4 // 3 + 1),
            seconds=limits.body_timeout_seconds,
            rate=limits.body_bytes_per_second,
            at_a_time=limits.owner_requests_at_a_time,
            wait_seconds=limits.wait_seconds,
        )
    )


def _open_memory(settings: Settings) -> Memory:
    limits = settings.limits
    # Half of the threads stay free for requests that need less.
    return Memory(limits.work_bytes, waiting=limits.running_requests // 2, patience_seconds=_MEMORY_PATIENCE_SECONDS)


def _body_limits(settings: Settings) -> BodyLimits:
    limits = settings.limits
    return BodyLimits(
        max_image_bytes=limits.max_image_bytes,
        timeout_seconds=limits.body_timeout_seconds,
        bytes_per_second=limits.body_bytes_per_second,
        max_dataset_bytes=limits.dataset_bytes,
        dataset_timeout_seconds=limits.dataset_timeout_seconds,
    )
