"""`/v1/models`: which models are served, and what is known of one. Looking loads none."""

from typing import Final

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from schemas.models import LayerList, ModelDetail, ModelList
from service.api.dependencies import ModelName, ModelVersion, Services, ServicesDependency
from service.api.fragments import Responses
from service.api.problems import Members, respond
from service.engine.methods import METHODS
from service.engine.model import Model
from service.errors import ModelNotLoadedError
from service.models.doctor import describe, describe_unloaded
from service.models.doctor import list_layers as list_layers_of
from service.models.listing import list_models as all_models
from service.models.listing import summarise_version

router = APIRouter(tags=["models"], prefix="/v1/models")
_ERRORS: Final[Responses] = {404: {}, 503: {}}


@router.get("", summary="List the models")
async def list_models(services: ServicesDependency) -> ModelList:
    return all_models(services.catalog)


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
    return await _load(services, model, None)


@router.post(
    "/{model}/versions/{version}/load", summary="Load one version of a model, then describe it", responses=_ERRORS
)
async def load_version(services: ServicesDependency, model: ModelName, version: ModelVersion) -> ModelDetail:
    return await _load(services, model, version)


@router.post("/{model}/unload", summary="Let go of all versions of a model, then describe it", responses=_ERRORS)
async def unload_model(services: ServicesDependency, model: ModelName) -> ModelDetail:
    return _unload(services, model, None)


@router.post(
    "/{model}/versions/{version}/unload",
    summary="Let go of one version of a model, then describe it",
    responses=_ERRORS,
)
async def unload_version(services: ServicesDependency, model: ModelName, version: ModelVersion) -> ModelDetail:
    return _unload(services, model, version)


async def _load(services: Services, name: str, version: str | None) -> ModelDetail:
    # What came to the folder a moment ago is there too.
    await anyio.to_thread.run_sync(services.catalog.refresh)
    # The newest, where another is served until that is ready.
    model = await services.model(name, version or services.catalog.list_versions(name)[0])
    return _describe_known(services, model, model.version)


def _unload(services: Services, name: str, version: str | None) -> ModelDetail:
    services.catalog.unload(name, version)
    facts = services.catalog.find_facts(name, version)
    summary = summarise_version(services.catalog, name, version)
    return describe_unloaded(summary, version) if facts is None else _describe_known(services, facts, version)


async def _describe(request: Request, services: Services, name: str, version: str | None) -> ModelDetail | Response:
    summary = summarise_version(services.catalog, name, version)
    resident = services.catalog.find_resident(name, version)
    if resident is not None and resident.failure is not None:
        # KServe's clients look for `name` and `ready`, also here.
        failure = resident.failure
        return respond(
            request, failure.error.code, failure.reason, members=Members(name=name, ready=False, reason=failure.reason)
        )
    facts = services.catalog.find_facts(name, version)
    return describe_unloaded(summary, version) if facts is None else _describe_known(services, facts, version)


def _describe_known(services: Services, model: Model, version: str | None) -> ModelDetail:
    return describe(model, summarise_version(services.catalog, model.name, version), list(METHODS.values()))


async def _list_layers(services: Services, name: str, version: str | None) -> LayerList:
    model = await services.find_facts(name, version)
    if model is None:
        route = f"/v1/models/{name}/load" if version is None else f"/v1/models/{name}/versions/{version}/load"
        raise ModelNotLoadedError(f"'{name}' is not loaded, so that its layers are not known: POST {route} loads it")
    return list_layers_of(model)
