"""`/v1/models`: which models are served, and what is known of one. Looking loads none; `load` does."""

from typing import Final

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from schemas.models import LayerList, ModelDetail, ModelList
from service.api.dependencies import ModelName, ModelVersion, Services, ServicesDependency
from service.api.fragments import Responses
from service.api.problems import Members, respond
from service.engine.methods import METHODS
from service.engine.model import Model
from service.errors import ModelFailedError, ModelNotLoadedError, WeightsUnavailableError
from service.models.doctor import describe, describe_unloaded
from service.models.doctor import list_layers as list_layers_of

router = APIRouter(tags=["models"], prefix="/v1/models")
_ERRORS: Final[Responses] = {404: {}, 503: {}}


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


@router.get("/{model}/layers", summary="List a model's layers", responses=_ERRORS | {409: {}})
async def list_layers(services: ServicesDependency, model: ModelName) -> LayerList:
    return await _list_layers(services, model, None)


@router.get(
    "/{model}/versions/{version}/layers", summary="List the layers of one version", responses=_ERRORS | {409: {}}
)
async def list_layers_of_version(services: ServicesDependency, model: ModelName, version: ModelVersion) -> LayerList:
    return await _list_layers(services, model, version)


@router.post("/{model}/load", summary="Load a model, then describe it", responses=_ERRORS)
async def load_model(services: ServicesDependency, model: ModelName) -> ModelDetail:
    return await _describe_loaded(services, await services.model(model, None))


@router.post(
    "/{model}/versions/{version}/load", summary="Load one version of a model, then describe it", responses=_ERRORS
)
async def load_version(services: ServicesDependency, model: ModelName, version: ModelVersion) -> ModelDetail:
    return await _describe_loaded(services, await services.model(model, version))


async def _describe(request: Request, services: Services, name: str, version: str | None) -> ModelDetail | Response:
    try:
        model = await services.loaded_model(name, version)
    except (ModelFailedError, WeightsUnavailableError) as error:
        # KServe's clients look for `name` and `ready`, also here.
        members = Members(name=name, ready=False, reason=error.detail)
        return respond(request, error.code, error.detail, members=members)
    if model is not None:
        return await _describe_loaded(services, model)
    return describe_unloaded(await anyio.to_thread.run_sync(services.catalog.summary, name), version)


async def _describe_loaded(services: Services, model: Model) -> ModelDetail:
    summary = await anyio.to_thread.run_sync(services.catalog.summary, model.name)
    return describe(model, summary.versions, list(METHODS.values()))


async def _list_layers(services: Services, name: str, version: str | None) -> LayerList:
    model = await services.loaded_model(name, version)
    if model is None:
        route = f"/v1/models/{name}/load" if version is None else f"/v1/models/{name}/versions/{version}/load"
        raise ModelNotLoadedError(f"'{name}' is not loaded, so that its layers are not known: POST {route} loads it")
    return list_layers_of(model)
