"""A route for every method, made from METHODS: parameters and image in; a result, a picture or a job out."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from time import perf_counter
from typing import Final

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from schemas.methods import MethodList, MethodParams
from service.api.access.callers import caller_of
from service.api.dependencies import ModelName, ModelVersion, Services, ServicesDependency
from service.api.examples import request_body, request_headers, result_responses
from service.api.fragments import Fragment
from service.api.job_requests import Asked, answer_with_job
from service.api.method_answers import answer_model
from service.api.method_bodies import parameters_of
from service.api.requests.bodies import Body, announced_bytes, announces_dataset, count_nothing, read_body
from service.api.requests.executor import Waiter
from service.api.requests.negotiation import JSON, PNG, choose
from service.api.requests.preferences import read_preferences, wants_fresh
from service.api.requests.turns import Turn, take_turns, until_gone
from service.api.requests.webhooks import refuse_without_job
from service.api.result_cache import Answer, find_tag, make_answer, make_key
from service.engine.images.archive import Dataset, open_dataset
from service.engine.images.photo import ImageFile
from service.engine.kinds.method import AnyMethod
from service.engine.model import Model
from service.engine.parameters import validate
from service.engine.running import request as engine
from service.engine.running.run import run
from service.errors import DatasetInvalidError, DatasetNotFoundError, TooFewVersionsError
from service.jobs.store.outbox import Webhook
from service.jobs.webhooks.subscription import parse_webhook

# Pictures up to this size are hashed in less time than it takes to find a thread for it.
_HASHED_AT_ONCE_BYTES: Final = 2**18
# So many parameters, each with so many characters, likewise.
_VALIDATED_AT_ONCE: Final = 100


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
    parameters = parameters_of(method)

    async def newest(request: Request, services: ServicesDependency, model: ModelName) -> Response:
        request.state.parameters = parameters
        return await _let_in(request, services, method, model, None)

    async def one_version(
        request: Request, services: ServicesDependency, model: ModelName, version: ModelVersion
    ) -> Response:
        # One version is not compared with others.
        request.state.parameters = parameters - {"versions"}
        return await _let_in(request, services, method, model, version)

    shared: Fragment = {
        "methods": ["POST"],
        "description": method.description,
        "response_model": answer_model(method),
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


async def _let_in(request: Request, services: Services, method: AnyMethod, name: str, version: str | None) -> Response:
    # Where the meter finds it.
    request.state.method = method.name
    # A request with a body holds its place already.
    with services.admission.hold(request.scope):
        return await _answer(request, services, method, name, version)


async def _answer(request: Request, services: Services, method: AnyMethod, name: str, version: str | None) -> Response:
    media_type = choose(", ".join(request.headers.getlist("accept")), (JSON, PNG) if method.makes_pictures else (JSON,))
    async with _read(request, services, method) as (work, versions, webhook):
        compared = _find_versions(services, name, version, versions)
        asked = Asked(caller_of(request.scope), name, version, work, media_type, compared, webhook)
        is_job = method.kind == "job" or work.images is not None or bool(asked.versions)
        if is_job or read_preferences(request.headers).respond_async:
            if webhook is not None:
                await services.webhooks.check(webhook)
            return await answer_with_job(request, services, asked)
        if webhook is not None:
            raise refuse_without_job()
    work = replace(work, first_picture_only=media_type == PNG)
    model = await services.model(name, version)
    key = await _make_key(model, work, media_type, caller_of(request.scope).owner)
    fresh = wants_fresh(request.headers)
    if not fresh and (tag := find_tag(", ".join(request.headers.getlist("if-none-match")), key)):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_headers(tag, "hit"))
    if not fresh and (kept := services.results.get(key)):
        return Response(kept.body, media_type=media_type, headers=_headers(kept.etag, "hit"))
    answer = await _compute(services, take_turns(request, name), model, work, key)
    services.results.put(key, answer)
    return Response(
        answer.body, media_type=media_type, headers=_headers(answer.etag, "fwd=request" if fresh else "fwd=miss")
    )


@asynccontextmanager
async def _read(
    request: Request, services: Services, method: AnyMethod
) -> AsyncIterator[tuple[engine.Request, object, Webhook | None]]:
    """What is asked for, of which versions, and who is told; a dataset that came is open while the block runs."""
    takes_dataset = method.consumes in ("image", "images")
    is_large = takes_dataset and announces_dataset(request, services.body_limits)
    async with AsyncExitStack() as stack:
        received: Callable[[int], None] = count_nothing
        if is_large:
            upload = await stack.enter_async_context(services.dataset_uploads.take(announced_bytes(request)))
            received = upload.received
        body = await read_body(
            request, services.body_limits, services.parsing, takes_dataset=takes_dataset, received=received
        )
        # An error points at what the client wrote.
        request.state.given = frozenset(body.params)
        name = body.params.pop("dataset", None) if takes_dataset else None
        versions = body.params.pop("versions", None)
        told = body.params.pop("webhook", None), body.params.pop("webhook_events", None)
        try:
            webhook = parse_webhook(*told)
            params = await _validate(services, method, body.params)
            images = await _open_dataset(request, services, body, name)
        except BaseException:
            if body.images is not None:
                body.images.close()
            raise
        try:
            image = None if body.image is None else ImageFile(body.image)
            yield engine.Request(method, params, image, images=images), versions, webhook
        finally:
            if images is not None:
                images.close()


async def _validate(services: Services, method: AnyMethod, given: dict[str, object]) -> MethodParams:
    """The parameters, checked on a thread where they are long. Raises InvalidParametersError."""
    params: MethodParams
    if len(given) <= _VALIDATED_AT_ONCE and all(map(_is_short, given.values())):
        params = validate(method.params, given)
    else:
        params = await services.parsing.run(partial(validate, method.params, given))
    return params


def _is_short(value: object) -> bool:
    return len(value) <= _VALIDATED_AT_ONCE if isinstance(value, str) else isinstance(value, int | float | None)


def _find_versions(services: Services, name: str, version: str | None, asked: object) -> tuple[str, ...]:
    """The versions that are to be compared; none where the client asks for one. Raises TooFewVersionsError."""
    if asked is None:
        return ()
    if version is not None:
        raise TooFewVersionsError("'versions' goes with /v1/models/{model}/…, not with one version of it")
    return services.catalog.versions(name, asked)


async def _open_dataset(request: Request, services: Services, body: Body, name: object) -> Dataset | None:
    if sum(given is not None for given in (body.image, body.images, name)) > 1:
        raise DatasetInvalidError("send one of 'image', 'images' and 'dataset', not several")
    waiter = Waiter(caller_of(request.scope).owner, departure=partial(until_gone, request))
    if body.images is not None:
        return await services.dataset_checks.run(partial(open_dataset, body.images, services.datasets.limits), waiter)
    if name is None:
        return None
    if not isinstance(name, str):
        raise DatasetNotFoundError("'dataset' is the name of one dataset")
    return await services.dataset_checks.run(partial(services.datasets.open, name), waiter)


async def _make_key(model: Model, work: engine.Request, media_type: str, owner: str) -> str:
    make = partial(make_key, model, work, media_type, owner=owner)
    if work.image is None or len(work.image.data) <= _HASHED_AT_ONCE_BYTES:
        return make()
    return await anyio.to_thread.run_sync(make)


async def _compute(services: Services, turn: Turn, model: Model, work: engine.Request, key: str) -> Answer:
    received = perf_counter()

    def compute() -> Answer:
        with services.allow(turn.is_abandoned) as allowance:
            waited = replace(work, queue_seconds=perf_counter() - received, allowance=allowance)
            result = run(model, waited, services.image_limits)
        services.metrics.result(work.method.name, model.name, result.timings_seconds)
        body = result.images[0].data if work.first_picture_only else result.model_dump_json().encode()
        return make_answer(key, body)

    return await services.executor.run(compute, turn.waiter)


def _headers(etag: str, cache: str) -> dict[str, str]:
    """`Cache-Status` (RFC 9211) tells whether the answer was computed for this request."""
    return {
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Cache-Status": f"convscope; {cache}",
        "Vary": "Accept, Prefer",
    }
