"""The API's composition root: settings in, a wired FastAPI application out."""

import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from importlib.metadata import version
from threading import Event, Thread
from typing import Final

import anyio.to_thread
import numpy as np
from fastapi import FastAPI

from service.api import openapi, problems
from service.api.access.cross_origin import ListedOrigins
from service.api.access.early import EarlyRefusal
from service.api.access.hosts import HostGuard, HostNames
from service.api.access.keys.authenticator import Authenticator
from service.api.access.keys.guard import KeyGuard
from service.api.access.keys.roles import roles_of
from service.api.access.origins import OriginGuard
from service.api.access.prefixes import ForwardedAddress
from service.api.dependencies import Services, Times
from service.api.headers import SecurityHeaders
from service.api.metrics import Metrics, RequestMeter
from service.api.requests.admission import Admission, AdmissionLimits
from service.api.requests.bodies import BodyLimits, largest_memory
from service.api.requests.executor import BoundedExecutor, Slots
from service.api.requests.gate import Gate
from service.api.requests.rates import Rates
from service.api.requests.uploads import Uploads
from service.api.requests.webhooks import WebhookChecks
from service.api.result_cache import ResultCache
from service.api.routes import datasets, documentation, events, health, jobs, models, pages, sessions, webhooks
from service.api.routes.methods import make_router
from service.api.watching import JobServices
from service.composition.access import open_authenticator
from service.composition.jobs import (
    make_data_folder,
    open_artifacts,
    open_destinations,
    open_reconciler,
    open_store,
    open_workforce,
)
from service.composition.limits import cell_bounds, image_limits, job_rules, owner_limits
from service.composition.models import READINESS_MODEL, open_batcher, open_datasets, open_shared_catalog
from service.engine.allowance import Memory
from service.engine.methods import METHODS
from service.engine.model import Model
from service.errors import ConvscopeError
from service.jobs.artifacts import Artifacts
from service.jobs.store.port import JobStore
from service.jobs.submission import Submissions
from service.jobs.worker.notifier import Notifier
from service.settings import Settings

logger = logging.getLogger(__name__)

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
# Of the picture that warms a network of open size up.
_OPEN_SIDE: Final = 96
_MODES: Final = {
    "redis": "jobs are kept on Redis and computed by workers (convscope worker)",
    "embedded": "jobs are computed one at a time by a process beside this one; for more, set CONVSCOPE_REDIS_URL",
}


def create_app(settings: Settings) -> FastAPI:
    """Wire the application. Models load in the background once it runs; nothing imports TensorFlow before.

    Raises AccessError where the settings let in whom nobody has asked for a key.
    """
    limits = settings.limits
    authenticator = open_authenticator(settings)
    store, artifacts = open_store(settings), open_artifacts(settings)
    workforce = open_workforce(settings, store)
    reconciler = open_reconciler(settings, store, artifacts, workforce, workforce)
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
        jobs=_open_jobs(settings, store, artifacts, workforce),
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
    if authenticator is not None:
        metrics.watch_keys(authenticator.keys)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        make_data_folder(settings)
        logger.info(_MODES[settings.jobs_mode])
        begin = workforce.start if settings.worker.warm else _do_nothing
        Thread(target=_warm_up, args=(services, settings, begin), name="warm-up", daemon=True).start()
        reconciler.start()
        if authenticator is not None:
            authenticator.keys.start()
        yield
        if authenticator is not None:
            authenticator.keys.close()
        services.jobs.stopping.set()
        services.rates.close()
        for executor in (services.executor, services.parsing, services.dataset_checks, services.webhooks.executor):
            executor.close()
        reconciler.close()
        await anyio.to_thread.run_sync(workforce.close)
        services.jobs.executor.close()
        services.jobs.store.close()
        services.catalog.close()

    app = FastAPI(
        title="convscope",
        description="Shows what a convolutional network sees.",
        version=version("convscope"),
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.services = services
    _add_middleware(app, settings, services, authenticator)
    problems.install(app)
    openapi.install(app, METHODS.values(), asks_for_keys=authenticator is not None)
    documentation.install(app)
    # Before the folder of the page's files, which takes all of `/ui`.
    app.include_router(sessions.make_router(authenticator))
    pages.install(app)
    webhooks.install(app)
    methods = make_router(METHODS.values())
    for router in (models.router, methods, datasets.router, jobs.router, events.router, webhooks.router, health.router):
        app.include_router(router)
    return app


def make_early_refusal(app: FastAPI, settings: Settings) -> EarlyRefusal | None:
    """For the server. With keys whose request it is has to be known first."""
    services: Services = app.state.services

    def is_full(length: int) -> bool:
        lacking = services.admission.find_lack(length)
        if lacking is not None:
            services.metrics.refuse(lacking)
        return lacking is not None

    max_bytes = settings.limits.max_image_bytes
    return None if settings.api_keys else EarlyRefusal(is_full, max_bytes, settings.root_path)


def _add_middleware(app: FastAPI, settings: Settings, services: Services, authenticator: Authenticator | None) -> None:
    # The last is the first that a request comes to.
    app.add_middleware(RequestMeter, metrics=services.metrics, knows=services.catalog.is_known)
    app.add_middleware(
        Gate,
        admission=services.admission,
        rates=services.rates,
        limits=services.body_limits,
        refused=services.metrics.refuse,
    )
    if authenticator is not None:
        app.add_middleware(
            KeyGuard,
            authenticator=authenticator,
            roles=roles_of(METHODS),
            refused=services.metrics.refuse,
            metrics_are_free=settings.metrics_without_key,
        )
    app.add_middleware(OriginGuard, listed=settings.cors_origins)
    if settings.cors_origins:
        app.add_middleware(ListedOrigins, origins=settings.cors_origins)
    # Foreign pages have no key, nor the page's cookie, which is that of another name.
    if authenticator is None or settings.hosts:
        app.add_middleware(HostGuard, names=HostNames((settings.host, *settings.hosts)))
    app.add_middleware(ForwardedAddress, root_path=settings.root_path, proxies=settings.trusted_proxies)
    app.add_middleware(SecurityHeaders)


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


def _do_nothing() -> None:
    """The worker begins with the first job."""


def _warm_up(services: Services, settings: Settings, begin_work: Callable[[], None]) -> None:
    """Run the built-in model for real, say that the service is ready, then begin with jobs and all other models."""
    try:
        _explain_nothing(services.catalog.model(READINESS_MODEL))
    except (ConvscopeError, CancelledError) as error:
        logger.error("the built-in model does not run: %s", error)
    else:
        services.ready.set()
    begin_work()
    services.catalog.start(
        settings.models_refresh_seconds, _explain_nothing, load_noticed=settings.models_mode == "all"
    )


def _explain_nothing(model: Model) -> None:
    """Run the first heat map of a model, whose graph takes a second or more to be traced, where it can have any."""
    shape = model.network_info.input_shape
    if shape is None or METHODS["grad-cam"].refuse(model.network_info) is not None:
        return
    height, width = model.input_size or (_OPEN_SIDE, _OPEN_SIDE)
    model.probe.activations_and_gradients(np.zeros((shape[0] or height, shape[1] or width, shape[2]), np.float32))
