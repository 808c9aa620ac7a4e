"""What the routes need, made once in the composition root and found on the application's state."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Annotated

from fastapi import Depends, Path, Request

from service.api.access.callers import Caller, caller_of
from service.api.metrics import Metrics
from service.api.problems import prefix_of
from service.api.requests.admission import Admission
from service.api.requests.bodies import BodyLimits
from service.api.requests.executor import BoundedExecutor
from service.api.requests.rates import Rates
from service.api.requests.uploads import Uploads
from service.api.requests.webhooks import WebhookChecks
from service.api.result_cache import ResultCache
from service.api.watching import JobServices
from service.engine.allowance import Allowance, Memory
from service.engine.images.decoding import ImageLimits
from service.engine.model import Model
from service.models.catalog import Catalog
from service.models.datasets import Datasets


@dataclass(frozen=True)
class Times:
    """How many seconds one request may be computed for, and one dataset be checked."""

    request: float
    dataset_check: float


@dataclass(frozen=True)
class Services:
    catalog: Catalog
    admission: Admission
    rates: Rates
    executor: BoundedExecutor
    parsing: BoundedExecutor
    results: ResultCache
    metrics: Metrics
    jobs: JobServices
    datasets: Datasets
    dataset_checks: BoundedExecutor
    dataset_uploads: Uploads
    memory: Memory
    times: Times
    webhooks: WebhookChecks
    image_limits: ImageLimits
    body_limits: BodyLimits
    jobs_mode: str
    # What the process that reads a model file can reach, as `GET /version` tells it.
    cell_bounds: dict[str, str]
    ready: Event

    async def model(self, name: str, version: str | None) -> Model:
        """The model, loaded if need be; waits for that without holding a thread. Raises what the catalog raises."""
        lease = self.catalog.request(name, version)
        await asyncio.shield(asyncio.wrap_future(lease.load))
        return lease.model()

    async def find_facts(self, name: str, version: str | None) -> Model | None:
        """What is known of a model, waited for where it is being loaded; None where it never was: looking loads none.

        Raises what the catalog raises.
        """
        resident = self.catalog.find_resident(name, version)
        if resident is not None and resident.state in ("loading", "failed"):
            await self.model(name, version)
        return self.catalog.find_facts(name, version)

    def allow(self, is_abandoned: Callable[[], bool], *, dataset_check: bool = False) -> Allowance:
        """What a request may take, from now on: to be called where its work begins."""
        seconds = self.times.dataset_check if dataset_check else self.times.request
        return Allowance(seconds, self.memory, is_abandoned)


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _caller(request: Request) -> Caller:
    return caller_of(request.scope)


def _base(request: Request) -> str:
    return prefix_of(request)


ServicesDependency = Annotated[Services, Depends(_services)]
CallerDependency = Annotated[Caller, Depends(_caller)]
# What links of answers begin with.
BaseDependency = Annotated[str, Depends(_base)]
ModelName = Annotated[str, Path(description="A model's name, from `GET /v1/models`.", examples=["shapes"])]
ModelVersion = Annotated[str, Path(description="One of the model's versions.", examples=["1"])]
JobId = Annotated[str, Path(description="A job's id.", examples=["0197f3c2a1b24c0e9d5f6a7b8c9d0e1f"])]
ImageName = Annotated[str, Path(description="A picture's name, from the job.", examples=["filter-3"])]
