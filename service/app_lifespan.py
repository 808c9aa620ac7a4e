"""What one application does while it runs: warms up, looks after jobs and keys, and ends in order."""

import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Final

import anyio.to_thread
import numpy as np
from fastapi import FastAPI

from service.api.access.keys.authenticator import Authenticator
from service.api.dependencies import Services
from service.composition.jobs import make_data_folder
from service.composition.models import READINESS_MODEL
from service.engine.methods import METHODS
from service.engine.model import Model
from service.errors import ConvscopeError
from service.jobs.reconciler import Reconciler, Workforce
from service.settings import Settings

logger = logging.getLogger(__name__)

# Of the picture that warms a network of open size up.
_OPEN_SIDE: Final = 96
_MODES: Final = {
    "redis": "jobs are kept on Redis and computed by workers (convscope worker)",
    "embedded": "jobs are computed one at a time by a process beside this one; for more, set CONVSCOPE_REDIS_URL",
}


@dataclass(frozen=True)
class Lifespan:
    """`authenticator` is None where no keys are asked for."""

    settings: Settings
    services: Services
    workforce: Workforce
    reconciler: Reconciler
    authenticator: Authenticator | None

    @asynccontextmanager
    async def run(self, _: FastAPI) -> AsyncIterator[None]:
        """FastAPI's `lifespan`."""
        self._start()
        yield
        await self._stop()

    def _start(self) -> None:
        make_data_folder(self.settings)
        logger.info(_MODES[self.settings.jobs_mode])
        begin = self.workforce.start if self.settings.worker.warm else _do_nothing
        Thread(target=_warm_up, args=(self.services, self.settings, begin), name="warm-up", daemon=True).start()
        self.reconciler.start()
        if self.authenticator is not None:
            self.authenticator.keys.start()

    async def _stop(self) -> None:
        services = self.services
        if self.authenticator is not None:
            self.authenticator.keys.close()
        services.jobs.stopping.set()
        services.rates.close()
        for executor in (services.executor, services.parsing, services.dataset_checks, services.webhooks.executor):
            executor.close()
        self.reconciler.close()
        await anyio.to_thread.run_sync(self.workforce.close)
        services.jobs.executor.close()
        services.jobs.store.close()
        services.catalog.close()


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
