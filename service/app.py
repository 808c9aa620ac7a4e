"""The API's composition root: settings in, a wired FastAPI application out."""

import logging
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from threading import Event, Thread

import numpy as np
from fastapi import FastAPI

from schemas.models import Task
from service.api import documentation, health, models, openapi, problems
from service.api.dependencies import Services
from service.api.limits import BoundedExecutor
from service.api.visualizations import make_router
from service.catalog.applications import Applications
from service.catalog.catalog import Catalog
from service.catalog.folder import Folder
from service.catalog.source import Source
from service.catalog.weights import WeightsStore
from service.engine.images import ImageLimits
from service.engine.methods import METHODS
from service.engine.probe import Probe
from service.errors import ConvscopeError
from service.settings import Settings

logger = logging.getLogger(__name__)

BUILT_IN_MODELS = Path(__file__).parent / "demo" / "models"
READINESS_MODEL = "shapes"


def create_app(settings: Settings) -> FastAPI:
    """Wire the application. Models load in the background once it runs; nothing imports TensorFlow before."""
    limits = settings.limits
    services = Services(
        catalog=Catalog(_sources(settings)),
        executor=BoundedExecutor(running=limits.running_requests, waiting=limits.waiting_requests),
        image_limits=ImageLimits(limits.max_image_bytes, limits.max_image_pixels),
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


class _KerasLoader:
    """The catalog's Loader over Keras; importing it waits until a model is loaded, as TensorFlow takes seconds."""

    def __init__(self, max_traces: int) -> None:
        self._max_traces = max_traces

    def __call__(
        self, path: Path, *, task: Task | None, default_layer: str | None, input_size: tuple[int, int] | None
    ) -> Probe:
        from service.engine.keras.loading import configure_threads, load_probe

        configure_threads()
        return load_probe(
            path, task=task, default_layer=default_layer, input_size=input_size, max_traces=self._max_traces
        )


class _ApplicationLoader:
    """The catalog's ApplicationLoader over Keras, imported as late."""

    def __init__(self, max_traces: int) -> None:
        self._max_traces = max_traces

    def __call__(self, function: str, *, weights: Path | None, side: int | None) -> Probe:
        from service.engine.keras.applications import load_application
        from service.engine.keras.loading import configure_threads

        configure_threads()
        return load_application(function, weights=weights, side=side, max_traces=self._max_traces)


def _sources(settings: Settings) -> list[Source]:
    """Where models come from; a model of an earlier source hides one of the same name in a later one."""
    max_traces = settings.limits.traces_per_model
    folders = [BUILT_IN_MODELS, *([settings.models] if settings.models else [])]
    store = WeightsStore(settings.applications_origin, settings.models)
    return [
        *(Folder(folder, _KerasLoader(max_traces)) for folder in folders),
        Applications(_ApplicationLoader(max_traces), store, weights=settings.applications_weights),
    ]


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
