"""`/v1/models`: which models are served, and what is known of one."""

from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from schemas.models import LayerList, ModelDetail, ModelList
from service.api.dependencies import ModelName, ModelVersion, Services, ServicesDependency
from service.api.problems import respond
from service.catalog.doctor import describe, describe_unloaded
from service.catalog.doctor import list_layers as list_layers_of
from service.engine.methods import METHODS
from service.errors import ModelFailedError, WeightsUnavailableError

router = APIRouter(tags=["models"], prefix="/v1/models")
_ERRORS: dict[int | str, dict[str, Any]] = {404: {}, 503: {}}


@router.get("", summary="List the models")
async def list_models(services: ServicesDependency) -> ModelList:
    return await anyio.to_thread.run_sync(services.catalog.summaries)


@router.get("/{model}", summary="Describe a model", response_model=ModelDetail, responses=_ERRORS)
async def describe_model(request: Request, services: ServicesDependency, model: ModelName) -> ModelDetail | Response:
    return await _describe(request, services, model, None)


@router.get(
    "/{model}/versions/{version}",
    summary="Describe one version of a model",
    response_model=ModelDetail,
    responses=_ERRORS,
)
async def describe_version(
    request: Request, services: ServicesDependency, model: ModelName, version: ModelVersion
) -> ModelDetail | Response:
    return await _describe(request, services, model, version)


@router.get("/{model}/layers", summary="List a model's layers", responses=_ERRORS)
async def list_layers(services: ServicesDependency, model: ModelName) -> LayerList:
    return list_layers_of(await services.model(model, None))


@router.get("/{model}/versions/{version}/layers", summary="List the layers of one version", responses=_ERRORS)
async def list_layers_of_version(services: ServicesDependency, model: ModelName, version: ModelVersion) -> LayerList:
    return list_layers_of(await services.model(model, version))


async def _describe(request: Request, services: Services, name: str, version: str | None) -> ModelDetail | Response:
    catalog = services.catalog
    if await anyio.to_thread.run_sync(catalog.awaits_first_use, name, version):
        # Asking what a model is must not fetch half a gigabyte.
        return describe_unloaded(await anyio.to_thread.run_sync(catalog.summary, name))
    try:
        model = await services.model(name, version)
    except (ModelFailedError, WeightsUnavailableError) as error:
        # KServe's clients look for `name` and `ready`, also here.
        members = {"name": name, "ready": False, "reason": error.detail}
        return respond(request, error.code, error.detail, members=members)
    summary = await anyio.to_thread.run_sync(catalog.summary, name)
    return describe(model, summary.versions, list(METHODS.values()))
