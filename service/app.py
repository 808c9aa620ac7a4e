"""The API's composition root: settings in, a wired FastAPI application out."""

import logging
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from importlib.metadata import version
from threading import Event, Thread

import numpy as np
from fastapi import FastAPI

from service.api import documentation, health, models, openapi, problems
from service.api.dependencies import Services
from service.api.limits import BoundedExecutor
from service.api.visualizations import make_router
from service.engine.methods import METHODS
from service.errors import ConvscopeError
from service.settings import Settings
from service.wiring import image_limits, open_catalog

logger = logging.getLogger(__name__)

READINESS_MODEL = "shapes"


def create_app(settings: Settings) -> FastAPI:
    """Wire the application. Models load in the background once it runs; nothing imports TensorFlow before."""
    limits = settings.limits
    services = Services(
        catalog=open_catalog(settings),
        executor=BoundedExecutor(running=limits.running_requests, waiting=limits.waiting_requests),
        image_limits=image_limits(settings),
        body_timeout_seconds=limits.body_timeout_seconds,
        ready=Event(),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        Thread(target=_warm_up, args=(services,), name="warm-up", daemon=True).start()
        yield
        services.executor.close()
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
    for router in (models.router, make_router(METHODS.values()), health.router):
        app.include_router(router)
    return app


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
