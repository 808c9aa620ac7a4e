"""A route for every method, made from METHODS: parameters and image in; a result, a picture or a job out."""

from collections.abc import Iterable
from time import perf_counter
from typing import Any

from fastapi import APIRouter, Request, Response

from schemas.jobs import Job, JobResult
from schemas.methods import MethodList
from schemas.results import Result
from service.api.bodies import read_body
from service.api.dependencies import ModelName, ModelVersion, Services, ServicesDependency
from service.api.examples import request_body, request_headers, result_responses
from service.api.job_requests import Asked, answer_with_job
from service.api.negotiation import JSON, PNG, choose
from service.api.preferences import read_preferences
from service.engine import run as engine
from service.engine.method import AnyMethod
from service.engine.parameters import validate


def make_router(methods: Iterable[AnyMethod]) -> APIRouter:
    """The routes `/v1/models/{model}[/versions/{version}]/{method}` and `/v1/methods`."""
    methods = list(methods)
    router = APIRouter(tags=["visualizations"])

    @router.get("/v1/methods", summary="List the methods with their parameters")
    async def list_methods() -> MethodList:
        return MethodList(methods=[method.describe() for method in methods])

    for method in methods:
        _add_routes(router, method)
    return router


def _add_routes(router: APIRouter, method: AnyMethod) -> None:
    async def newest(request: Request, services: ServicesDependency, model: ModelName) -> Response:
        return await _answer(request, services, method, model, None)

    async def one_version(
        request: Request, services: ServicesDependency, model: ModelName, version: ModelVersion
    ) -> Response:
        return await _answer(request, services, method, model, version)

    shared: dict[str, Any] = {
        "methods": ["POST"],
        "description": method.description,
        "response_model": JobResult | Job if method.kind == "job" else Result,
        "responses": result_responses(method),
        "openapi_extra": request_body(method) | request_headers(),
    }
    identifier = method.name.replace("-", "_")
    router.add_api_route(
        f"/v1/models/{{model}}/{method.name}", newest, summary=method.title, operation_id=identifier, **shared
    )
    router.add_api_route(
        f"/v1/models/{{model}}/versions/{{version}}/{method.name}",
        one_version,
        summary=f"{method.title}, one version",
        operation_id=f"{identifier}_of_version",
        **shared,
    )


async def _answer(request: Request, services: Services, method: AnyMethod, name: str, version: str | None) -> Response:
    media_type = choose(", ".join(request.headers.getlist("accept")), (JSON, PNG) if method.makes_pictures else (JSON,))
    services.executor.require_room()
    body = await read_body(
        request,
        max_image_bytes=services.image_limits.max_bytes,
        timeout_seconds=services.body_timeout_seconds,
    )
    params = validate(method.params, body.params)
    if method.kind == "job" or read_preferences(request.headers).respond_async:
        work = engine.Request(method, params, body.image)
        return await answer_with_job(request, services, Asked(name, version, work, media_type))
    model = await services.model(name, version)
    received = perf_counter()

    def compute() -> bytes:
        work = engine.Request(method, params, body.image, media_type == PNG, perf_counter() - received)
        result = engine.run(model, work, services.image_limits)
        return result.images[0].data if media_type == PNG else result.model_dump_json().encode()

    data = await services.executor.run(compute, lane=name)
    return Response(data, media_type=media_type, headers={"Vary": "Accept, Prefer"})
