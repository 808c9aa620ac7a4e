"""Jobs for the event loop: blocking calls on threads of their own, and waiting that holds none."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Event
from time import monotonic
from typing import Final, TypeVar

from service.api.requests.executor import BoundedExecutor, Slots
from service.engine.nearest import shorten
from service.errors import ServerBusyError
from service.jobs.artifacts import Artifacts
from service.jobs.store.bounds import OwnerLimits
from service.jobs.store.errors import JobsUnavailableError, not_found
from service.jobs.store.port import JobStore, Snapshot
from service.jobs.submission import JobRules, Submissions
from service.jobs.view import is_final

T = TypeVar("T")

# How often the store is asked for a job's revision; sooner where a client has just come, as many jobs are short.
POLL_SECONDS: Final = 0.25
_FIRST_POLL_SECONDS: Final = 0.03
_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class JobServices:
    """What the routes of jobs need. `stopping` is set when the server begins to shut down, and ends all waiting."""

    store: JobStore
    artifacts: Artifacts
    submissions: Submissions
    rules: JobRules
    owner_limits: OwnerLimits
    executor: BoundedExecutor
    streams: Slots
    waiters: Slots
    max_wait_seconds: int
    stopping: Event

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Call the store or the artifacts on a thread. Raises ServerBusyError, or what `function` raises."""
        return await self.executor.run(partial(function, *arguments))

    async def get(self, job: str, *, owner: str | None, after: int | None = None) -> Snapshot:
        """As the store's, of the owner whose jobs the caller sees.

        Raises JobNotFoundError also for what cannot be an id, and what the store raises.
        """
        return await self.call(partial(self.store.get, require_id(job), owner=owner, after=after))

    async def wait(self, snapshot: Snapshot, seconds: float, *, owner: str | None) -> Snapshot:
        """The job as it stands when it has ended, or when the time is over; at once where too many wait already."""
        end = monotonic() + seconds
        with self.waiters.take() as granted:
            if not granted or is_final(snapshot):
                return snapshot
            has_changed = False
            async for _ in self.follow(snapshot, owner=owner, until=end):
                has_changed = True
            if has_changed:
                with suppress(JobsUnavailableError, ServerBusyError):
                    return await self.get(snapshot.record.id, owner=owner)
        return snapshot

    async def follow(
        self, snapshot: Snapshot, *, owner: str | None, until: float | None = None
    ) -> AsyncIterator[Snapshot]:
        """Each look at the job that shows a change, until it has ended, the time is over or the server stops.

        Each has the pictures alone that have come since the one before, and no answer.
        A store that cannot be reached is asked again. Raises JobNotFoundError or JobExpiredError when the job goes.
        """
        pause = _FIRST_POLL_SECONDS
        while not (is_final(snapshot) or self.stopping.is_set()):
            left = pause if until is None else until - monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, POLL_SECONDS)
            with suppress(JobsUnavailableError, ServerBusyError):
                job = snapshot.record.id
                if await self.call(partial(self.store.revision, job, owner=owner)) != snapshot.revision:
                    snapshot = await self.get(job, owner=owner, after=snapshot.revision)
                    yield snapshot


def require_id(job: str) -> str:
    """The id itself. Raises JobNotFoundError for what cannot be one."""
    if not _ID.fullmatch(job):
        raise not_found(shorten(job))
    return job
