"""A job as it happens: events from the service, resumed after a break; without them, asking now and then."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from schemas.base import Schema
from schemas.jobs import FINAL_STATES, Job, JobImage, JobSummary, Progress
from schemas.problems import Problem
from service.client.connection import Connection, ServiceError

JobEvent = JobSummary | Progress | JobImage

# The service sends a sign of life every 15 s.
_SILENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 1.0
_SCHEMAS: Final[dict[str, type[JobSummary | Progress | JobImage | Problem]]] = {
    "job": JobSummary,
    "progress": Progress,
    "image": JobImage,
    "error": Problem,
}


def watch(connection: Connection, job: str) -> Iterator[JobEvent]:
    """Each picture once, and the job in its final state last. Raises ServiceError."""
    watcher = _Watcher(connection, f"/v1/jobs/{job}")
    return watcher.events()


@dataclass(frozen=True)
class _Message:
    name: str
    data: str
    id: str | None


class _Watcher:
    """What has been seen of one job."""

    def __init__(self, connection: Connection, route: str) -> None:
        self._connection = connection
        self._route = route
        self._place: str | None = None
        self._told: set[str] = set()

    def events(self) -> Iterator[JobEvent]:
        deadline = time.monotonic() + self._connection.patience_seconds
        while True:
            try:
                for event in self._listen():
                    deadline = time.monotonic() + self._connection.patience_seconds
                    yield event
                    if _is_final(event):
                        return
            except ServiceError as error:
                if error.code == "streams_full":
                    yield from self._ask_now_and_then()
                    return
                if error.code not in ("unreachable", "timeout", "jobs_unavailable", "server_busy"):
                    raise
                if time.monotonic() > deadline:
                    raise
            # A stream that ends before the job has is a server that restarts.
            time.sleep(_PAUSE_SECONDS)

    def _listen(self) -> Iterator[JobEvent]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self._place} if self._place else {})
        with self._connection.stream(f"{self._route}/events", headers, silence_seconds=_SILENCE_SECONDS) as response:
            for message in _messages(response.iter_lines()):
                event = _read(message)
                if isinstance(event, Problem):
                    raise ServiceError(event.code, event.detail, status=event.status)
                if event is not None and self._is_news(event):
                    yield event
                self._place = message.id or self._place

    def _ask_now_and_then(self) -> Iterator[JobEvent]:
        state: JobSummary | None = None
        while True:
            job = self._connection.call(Job, "GET", self._route)
            latest = JobSummary(**{name: getattr(job, name) for name in JobSummary.model_fields})
            yield from (image for image in (job.result or job).images if self._is_news(image))
            if state is None or state.state != latest.state:
                yield latest
            elif state.progress != latest.progress:
                yield latest.progress
            if _is_final(latest):
                return
            state = latest
            time.sleep(_PAUSE_SECONDS)

    def _is_news(self, event: Schema) -> bool:
        """A picture comes again after a break where its look was not told to the end."""
        if not isinstance(event, JobImage):
            return True
        known = event.href in self._told
        self._told.add(event.href)
        return not known


def _messages(lines: Iterable[str]) -> Iterator[_Message]:
    """Server-sent events: fields, one a line, an empty line after each event; `:` begins a comment."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
        elif not line and "data" in fields:
            yield _Message(fields.get("event", "message"), fields["data"], fields.get("id"))
            fields = {}


def _read(message: _Message) -> JobSummary | Progress | JobImage | Problem | None:
    schema = _SCHEMAS.get(message.name)
    if schema is None:
        return None  # a newer service may tell more
    try:
        return schema.model_validate_json(message.data, extra="ignore")
    except ValidationError as error:
        raise ServiceError("unexpected_answer", f"the event '{message.name}' cannot be read") from error


def _is_final(event: JobEvent) -> bool:
    return isinstance(event, JobSummary) and event.state in FINAL_STATES
