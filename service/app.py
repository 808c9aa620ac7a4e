"""The API's composition root: settings in, a wired FastAPI application out."""

import logging
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from importlib.metadata import version
from threading import Event, Thread
from typing import Final

import numpy as np
from fastapi import FastAPI

from service.api import documentation, events, health, jobs, models, openapi, problems
from service.api.dependencies import Services
from service.api.limits import BoundedExecutor, Places
from service.api.visualizations import make_router
from service.api.watching import JobServices
from service.engine.methods import METHODS
from service.errors import ConvscopeError
from service.jobs.submission import Submissions
from service.settings import Settings
from service.wiring import READINESS_MODEL, image_limits, job_rules, open_artifacts, open_catalog, open_store

logger = logging.getLogger(__name__)

# Threads for calls of the job store and the artifacts, which wait far more than they compute; and how many calls may
# wait for one.
_STORE_THREADS: Final = 16
_STORE_WAITING: Final = 512


def create_app(settings: Settings) -> FastAPI:
    """Wire the application. Models load in the background once it runs; nothing imports TensorFlow before."""
    limits = settings.limits
    services = Services(
        catalog=open_catalog(settings),
        executor=BoundedExecutor(running=limits.running_requests, waiting=limits.waiting_requests),
        jobs=_open_jobs(settings),
        image_limits=image_limits(settings),
        body_timeout_seconds=limits.body_timeout_seconds,
        ready=Event(),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        Thread(target=_warm_up, args=(services,), name="warm-up", daemon=True).start()
        yield
        services.jobs.stopping.set()
        services.executor.close()
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
    problems.install(app)
    openapi.install(app)
    documentation.install(app)
    for router in (models.router, make_router(METHODS.values()), jobs.router, events.router, health.router):
        app.include_router(router)
    return app


def _open_jobs(settings: Settings) -> JobServices:
    store, artifacts, limits = open_store(settings), open_artifacts(settings), settings.limits
    return JobServices(
        store=store,
        artifacts=artifacts,
        submissions=Submissions(store, artifacts, _NoDoorbell(), max_queued=limits.queued_jobs),
        rules=job_rules(settings),
        executor=BoundedExecutor(running=_STORE_THREADS, waiting=_STORE_WAITING, name="jobs"),
        streams=Places(limits.event_streams),
        waiters=Places(limits.event_streams),
        max_wait_seconds=settings.jobs.max_wait_seconds,
        stopping=Event(),
    )


class _NoDoorbell:
    """Nobody computes jobs yet."""

    def ring(self, queue: str, count: int) -> None:
        """See Doorbell."""


def _warm_up(services: Services) -> None:
    """Run the built-in model for real, say that the service is ready, then load every other model."""
    try:
        probe = services.catalog.model(READINESS_MODEL).probe
        height, width, channels = probe.anatomy.input_shape or (None, None, 3)
        probe.activations_and_gradients(np.zeros((height or 96, width or 96, channels), np.float32))
    except (ConvscopeError, CancelledError) as error:
        logger.error("the built-in model does not run: %s", error)
    else:
        services.ready.set()
    services.catalog.load_all()
