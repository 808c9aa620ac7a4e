"""Kubernetes probes and build facts. Liveness checks nothing but the process; readiness checks a real forward pass."""

import platform

from fastapi import APIRouter, Request, Response

from service.api.dependencies import ServicesDependency
from service.api.problems import respond
from service.engine.run import software

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
    return software() | {"python": platform.python_version(), "jobs": services.jobs_mode}
