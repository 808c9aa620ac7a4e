"""`/v1/jobs`: the jobs, their pictures, cancelling and forgetting them."""

import logging
from functools import partial
from time import time
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from schemas.jobs import Job, JobList
from service.api.access.callers import Caller
from service.api.dependencies import BaseDependency, CallerDependency, ImageName, JobId, Services, ServicesDependency
from service.api.fragments import Responses
from service.api.requests.negotiation import JSON, PNG
from service.api.watching import JobServices, require_id
from service.errors import ConvscopeError
from service.jobs.artifacts import ArtifactMissingError
from service.jobs.store.port import JobStore
from service.jobs.view import describe, summarize
from service.jobs.worker.attempt import forget_numbers

logger = logging.getLogger(__name__)

router = APIRouter(tags=["jobs"], prefix="/v1/jobs")
MAX_PAGE: Final = 200
_ERRORS: Final[Responses] = {404: {}, 410: {}, 503: {}}
_PICTURE: Final[Responses] = {
    200: {
        "description": "The picture. It never changes: its ETag is its SHA-256.",
        "content": {PNG: {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "`If-None-Match` names the picture."},
}


@router.get("", summary="List the jobs, newest first", operation_id="list_jobs", responses=_ERRORS | {422: {}})
async def list_jobs(
    services: ServicesDependency,
    caller: CallerDependency,
    base: BaseDependency,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Jobs on one page.")] = 50,
    after: Annotated[
        str | None,
        Query(pattern="^[0-9a-f]{32}$", description="The last id of the page before; `next` has it."),
    ] = None,
) -> JobList:
    return await services.jobs.call(_list, services.jobs.store, caller, limit, after, base)


@router.get("/{job}", summary="Look at a job", operation_id="get_job", response_model=Job, responses=_ERRORS)
async def get_job(services: ServicesDependency, caller: CallerDependency, base: BaseDependency, job: JobId) -> Response:
    return await _describe(services, caller, job, base, 200)


@router.head("/{job}/images/{name}", include_in_schema=False)
@router.get(
    "/{job}/images/{name}",
    summary="One picture of a job",
    operation_id="get_job_image",
    response_class=Response,
    responses=_ERRORS | _PICTURE,
)
async def get_job_image(
    request: Request, services: ServicesDependency, caller: CallerDependency, job: JobId, name: ImageName
) -> Response:
    known = ",".join(request.headers.getlist("if-none-match"))
    return await services.jobs.call(_picture, services.jobs, caller, require_id(job), name, known)


@router.post(
    "/{job}/cancel",
    summary="Cancel a job",
    operation_id="cancel_job",
    status_code=202,
    response_model=Job,
    responses=_ERRORS | {200: {"model": Job, "description": "It was cancelled before."}, 409: {}},
)
async def cancel_job(
    services: ServicesDependency, caller: CallerDependency, base: BaseDependency, job: JobId
) -> Response:
    before = await services.jobs.call(partial(services.jobs.store.cancel, require_id(job), owner=caller.sees))
    await services.jobs.call(forget_numbers, services.jobs.artifacts, job)
    return await _describe(services, caller, job, base, 200 if before == "cancelled" else 202)


@router.delete(
    "/{job}",
    summary="Forget a job, cancelling it first",
    description="Equal requests share a job: it goes with the delete of the last of them, and stays for the others.",
    operation_id="delete_job",
    status_code=204,
    responses=_ERRORS,
)
async def delete_job(services: ServicesDependency, caller: CallerDependency, job: JobId) -> None:
    if not await services.jobs.call(partial(services.jobs.store.delete, require_id(job), owner=caller.sees)):
        # Equal requests share a job: another of them is left.
        return
    try:
        await services.jobs.call(services.jobs.artifacts.remove_jobs, [job])
    except ConvscopeError as error:
        # The record has gone, and with it the way to the pictures; they are collected later.
        logger.warning("the pictures of job %s stay for now: %s", job, error.detail)


async def _describe(services: Services, caller: Caller, job: str, base: str, status: int) -> Response:
    store = services.jobs.store

    def write() -> str:
        found = store.get(require_id(job), owner=caller.sees)
        return describe(found, base, shows_owner=caller.sees_all).model_dump_json()

    # Large jobs have thousands of pictures to describe.
    content = await services.jobs.call(write)
    return Response(content, status, media_type=JSON)


def _list(store: JobStore, caller: Caller, limit: int, after: str | None, base: str) -> JobList:
    # One more than asked for tells whether there is a next page.
    found = store.list(limit=limit + 1, owner=caller.sees, after=after)
    page = found[:limit]
    more = f"{base}/v1/jobs?limit={limit}&after={page[-1].record.id}" if len(found) > limit else None
    return JobList(jobs=[summarize(snapshot, base, shows_owner=caller.sees_all) for snapshot in page], next=more)


def _picture(jobs: JobServices, caller: Caller, job: str, name: str, known: str) -> Response:
    found = jobs.store.picture(job, name, owner=caller.sees)
    if found is None:
        raise ArtifactMissingError("the job has no picture of that name, or not yet; the job lists its pictures")
    image = found.image
    # Private, and no longer than the job is kept: what its owner deletes should not live on in caches of others.
    seconds = max(0, int(found.expires - time()))
    headers = {"ETag": f'"{image.sha256}"', "Cache-Control": f"private, max-age={seconds}, immutable"}
    if known.strip() == "*" or f'"{image.sha256}"' in known:
        return Response(status_code=304, headers=headers)
    return Response(jobs.artifacts.read(image.file), media_type=PNG, headers=headers)
