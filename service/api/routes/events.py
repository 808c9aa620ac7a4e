"""`/v1/jobs/{job}/events`: a job as it happens, as server-sent events."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException

from service.api.access.callers import Caller
from service.api.dependencies import BaseDependency, CallerDependency, JobId, ServicesDependency
from service.api.fragments import Responses
from service.api.problems import make_problem
from service.api.watching import JobServices
from service.errors import ConvscopeError
from service.jobs.store.port import Snapshot
from service.jobs.view import images_since, is_final, measure_progress, summarize

router = APIRouter(tags=["jobs"])

_EXAMPLE: Final = (
    'event: progress\ndata: {"done": 12, "total": 64, "unit": "filters", "fraction": 0.21}\n\n'
    'event: image\ndata: {"name": "filter-12", "href": "/v1/jobs/0197f3c2a1b24c0e9d5f6a7b8c9d0e1f/images/filter-12"}\n'
    "id: 17\n\n"
)
# Beyond any revision; SQLite takes no larger numbers, nor Lua exact ones.
_NEVER: Final = 1 << 52
_RESPONSES: Final[Responses] = {
    200: {
        "description": "Events `job` (at first and with every change of state, the last one final), `progress`, "
        "`image` (each picture as it is ready), `error` (a problem: the job has been deleted). With `Last-Event-ID` "
        "only what has happened since.",
        "content": {"text/event-stream": {"example": _EXAMPLE}},
    },
    204: {"description": "`Last-Event-ID` is that of the last event: there is nothing more to come."},
    404: {},
    410: {},
    503: {},
}


class StreamsFullError(ConvscopeError):
    code = "streams_full"


@dataclass(frozen=True)
class Watch:
    """What a stream begins with: the job, and the revision of the last look that the client has seen whole."""

    jobs: JobServices
    caller: Caller
    first: Snapshot
    seen: int


async def _watch(
    services: ServicesDependency,
    caller: CallerDependency,
    job: JobId,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="Where an earlier stream broke off.")
    ] = None,
) -> AsyncIterator[Watch]:
    """Refuse before the stream begins, with a problem; hold the stream's place until it has ended."""
    jobs = services.jobs
    claimed = _parse(last_event_id)
    first = await jobs.get(job, owner=caller.sees, after=claimed)
    seen = claimed if claimed <= first.revision else -1
    if seen != claimed:
        first = await jobs.get(job, owner=caller.sees, after=seen)
    if is_final(first) and seen == first.revision:
        # Browsers reconnect whenever a stream ends; this is how they are told not to.
        raise HTTPException(HTTPStatus.NO_CONTENT)
    with jobs.streams.take() as granted:
        if not granted:
            raise StreamsFullError(f"as many clients watch jobs as may: ask GET /v1/jobs/{job} now and then instead")
        yield Watch(jobs, caller, first, seen)


@router.get(
    "/v1/jobs/{job}/events",
    summary="Watch a job",
    operation_id="watch_job",
    response_class=EventSourceResponse,
    responses=_RESPONSES,
)
async def watch_job(
    request: Request, watch: Annotated[Watch, Depends(_watch)], base: BaseDependency
) -> AsyncIterator[ServerSentEvent]:
    caller, after = watch.caller, watch.first
    # Who resumes where the job still stands has seen all of it, and is told nothing twice.
    for event in _tell(caller, None, after, watch.seen, base) if watch.seen != after.revision else ():
        yield event
    try:
        async for latest in watch.jobs.follow(watch.first, owner=caller.sees):
            before, after = after, latest
            for event in _tell(caller, before, after, before.revision, base):
                yield event
    except ConvscopeError as error:
        # The answer has begun, so that its status can no longer say so.
        yield ServerSentEvent(event="error", data=make_problem(request, error.code, error.detail))


def _tell(caller: Caller, before: Snapshot | None, after: Snapshot, seen: int, base: str) -> Iterator[ServerSentEvent]:
    """The events of one look. Only the last one has the `id`: who resumes from it has missed none of the others."""
    events = list(_changes(caller, before, after, seen, base))
    yield from (ServerSentEvent(event=name, data=data) for name, data in events[:-1])
    yield from (ServerSentEvent(event=name, data=data, id=str(after.revision)) for name, data in events[-1:])


def _changes(
    caller: Caller, before: Snapshot | None, after: Snapshot, seen: int, base: str
) -> Iterator[tuple[str, object]]:
    changed = before is None or before.state != after.state
    # The final state comes last: nothing follows it.
    if changed and not is_final(after):
        yield "job", summarize(after, base, shows_owner=caller.sees_all)
    for image in images_since(after, seen, base):
        yield "image", image
    if before is not None and measure_progress(before) != measure_progress(after):
        yield "progress", measure_progress(after)
    if changed and is_final(after):
        yield "job", summarize(after, base, shows_owner=caller.sees_all)


def _parse(last_event_id: str | None) -> int:
    """The revision that the client says it has seen; -1, before all, where it makes no sense."""
    with suppress(ValueError):
        return min(max(int(last_event_id or ""), -1), _NEVER)
    return -1
