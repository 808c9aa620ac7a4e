"""Kubernetes probes, build facts and metrics. Liveness checks the process alone; readiness, that a model has run."""

import platform

from fastapi import APIRouter, Request, Response

from service.api.dependencies import ServicesDependency
from service.api.metrics import CONTENT_TYPE
from service.api.problems import respond
from service.engine.running.origin import software

router = APIRouter(tags=["health"])


@router.get("/livez", summary="The process answers")
async def livez() -> dict[str, str]:
    return {"status": "alive"}


@router.get(
    "/readyz",
    summary="A built-in model has run",
    response_model=dict[str, str],
    responses={503: {}},
)
async def readyz(request: Request, services: ServicesDependency) -> Response | dict[str, str]:
    if services.ready.is_set():
        return {"status": "ready"}
    return respond(request, "not_ready", "the built-in model has not run yet: try again in a moment")


@router.get("/version", summary="Versions of the service and of what it runs on, and who computes jobs")
async def version(services: ServicesDependency) -> dict[str, str]:
    own = {"python": platform.python_version(), "jobs": services.jobs_mode}
    return software() | own | services.cell_bounds


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(services: ServicesDependency) -> Response:
    # Not `async`: the job store is asked, which may take seconds where it is in trouble.
    return Response(services.metrics.write(), headers={"Content-Type": CONTENT_TYPE})
