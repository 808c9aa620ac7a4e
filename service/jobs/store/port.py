"""The port behind which job records are kept, with SQLite or Redis, and the values that pass through it.

The record is the truth; a wake-up sent to a worker only says that looking may be worth while. Every operation is atomic
and may be repeated: a reply that was lost must not make the second call do something else. Times are the store's own,
in seconds since 1970.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from schemas.jobs import ChunkAnswer, ChunkResult, JobError, JobRecord, JobState, StoredImage
from service.jobs.store.bounds import UNBOUNDED, Bounds
from service.jobs.store.outbox import Outbox, Webhook, WebhookStatus

# More requests of one job than these are not counted: so many deletes forget it at the latest.
MAX_REQUESTS: Final = 100
ChunkState = Literal["waiting", "queued", "running", "succeeded", "failed", "cancelled"]
# What the store tells a worker that reports: go on; stop, as the job has ended; hand the chunk back; it is no longer
# yours.
Order = Literal["continue", "cancel", "release", "fenced"]


@dataclass(frozen=True)
class Rules:
    """How long things last, and how many workers a chunk may lose before its job fails with `worker_lost`.

    Starts that ended with `retry` do not count there: whoever calls it bounds them.

    Of the Idempotency-Keys, `idempotency_keys` are remembered, the oldest forgotten first.
    `reservation_seconds` is how long a request with an Idempotency-Key may take before the same request may try again;
    another one may use the key only after `idempotency_seconds`.

    An attempt to deliver a webhook has `delivery_lease_seconds`; its event is given up `delivery_seconds` after it
    happened. Of progress no more is told than once in `progress_seconds`.
    """

    lease_seconds: float = 30.0
    result_seconds: float = 86_400.0
    tombstone_seconds: float = 7 * 86_400.0
    idempotency_seconds: float = 86_400.0
    reservation_seconds: float = 60.0
    max_attempts: int = 5
    idempotency_keys: int = 20_000
    delivery_lease_seconds: float = 60.0
    delivery_seconds: float = 86_400.0
    progress_seconds: float = 5.0


@dataclass(frozen=True)
class Worker:
    """Who works: `process` computes, `name` is the service or worker that looks after it. Both are unique for ever."""

    name: str
    process: str


@dataclass(frozen=True)
class Claim:
    """One chunk in the hands of one process until a sweep finds its lease over; `fence` names the attempt.

    `retries` of the attempts before it failed for a passing reason.
    """

    record: JobRecord
    chunk: int
    fence: int
    attempt: int
    retries: int = 0


@dataclass(frozen=True)
class Chunk:
    """One chunk as it stands. `revision` is the job's when it succeeded, `progress` its share done, 0…1."""

    state: ChunkState
    attempts: int
    retries: int
    progress: float
    revision: int
    images: tuple[StoredImage, ...]


@dataclass(frozen=True)
class Snapshot:
    """A job as it stands. `answer` is that of the combining chunk, or of the first, of a job that has succeeded."""

    record: JobRecord
    state: JobState
    revision: int
    created: float
    started: float | None
    finished: float | None
    expires: float
    error: JobError | None
    chunks: tuple[Chunk, ...]
    answer: ChunkAnswer | None
    webhooks: tuple[WebhookStatus, ...] = ()


@dataclass(frozen=True)
class Picture:
    """One picture of a job; the job is kept until `expires`."""

    image: StoredImage
    expires: float


@dataclass(frozen=True)
class Submission:
    """`id` is that of an earlier job where `created` is False."""

    id: str
    created: bool


@dataclass(frozen=True)
class Overdue:
    """A process that has not noticed that its chunk's job has ended."""

    job: str
    chunk: int
    worker: Worker


@dataclass(frozen=True)
class Sweep:
    """What a look around found: jobs whose time is over, and how many chunks wait in each queue."""

    expired: tuple[str, ...]
    queued: dict[str, int]


class JobStore(Outbox, Protocol):
    """Every call may raise JobsUnavailableError; nothing is then half done. Safe to use from several threads.

    What a client asks for takes the `owner` whose jobs it may see, None for all: another's job is answered for as one
    that never was.
    """

    def reserve(self, key: str, fingerprint: str) -> str | None:
        """Take an Idempotency-Key for a request that is being answered; the job's id if it was answered before.

        Raises IdempotencyKeyReusedError where the key came with another fingerprint, RequestInProgressError where the
        first request has not been answered yet.
        """
        ...

    def unreserve(self, key: str) -> None:
        """Free a key whose request was refused; one that has its job keeps it."""
        ...

    def admits(self, record: JobRecord, duplicate_key: str | None, bounds: Bounds) -> bool:
        """Whether `submit` would make a new job as things stand, and not answer with an earlier one.

        Raises what `submit` raises where it would, and JobsUnavailableError where it can write nothing more.
        """
        ...

    def submit(  # noqa: PLR0913 - what a request says
        self,
        record: JobRecord,
        *,
        duplicate_key: str,
        fresh: bool = False,
        idempotency_key: str | None = None,
        bounds: Bounds = UNBOUNDED,
        webhook: Webhook | None = None,
    ) -> Submission:
        """Write record, chunks, queue entries, duplicate key and the answer to an Idempotency-Key, all or nothing.

        A webhook is added to the job, new or earlier, unless it has an equal one; one of a job that has ended is to be
        sent at once. Raises WebhooksFullError.

        A job with the same duplicate key that is queued, running or has succeeded is answered instead, unless `fresh`,
        and has one request more then (up to MAX_REQUESTS); so is the one that the Idempotency-Key was answered with.
        The same id again is the same submission. Raises QueueFullError or OwnerLimitReachedError where a new job would
        go beyond `bounds`.
        """
        ...

    def get(self, job: str, *, owner: str | None = None, after: int | None = None) -> Snapshot:
        """Raises JobNotFoundError, or JobExpiredError for a while after its time.

        With `after`, for who has seen the job at that revision: without `answer` and `webhooks`, and with the pictures
        alone of chunks that have succeeded since.
        """
        ...

    def answers(self, job: str) -> Sequence[ChunkAnswer]:
        """What chunks came to, in their order, until the reducer has; then only what that did. Empty for no job.

        A job that has failed or been cancelled has none.
        """
        ...

    def picture(self, job: str, name: str, *, owner: str | None = None) -> Picture | None:
        """The first of that name, those of the combining chunk before all others; None where there is none, or not yet.

        Raises what `get` raises.
        """
        ...

    def revision(self, job: str, *, owner: str | None = None) -> int:
        """The job's revision alone, cheaply. Raises what `get` raises."""
        ...

    def list(self, *, limit: int, owner: str | None = None, after: str | None = None) -> Sequence[Snapshot]:
        """Jobs, newest first, without answers, pictures and webhooks; `after` is the last id of the page before.

        Raises what `get` raises where the job `after` is gone.
        """
        ...

    def claim(self, queue: str, worker: Worker) -> Claim | None:
        """Take the next chunk of the queue; None where none waits.

        Owners with chunks there take turns, and each has its own in order: the oldest first.
        A process that holds a chunk already gets that one again, with the same fence. One of a worker that is being
        released gets none, and what it holds is handed back: a process that claims computes nothing.
        """
        ...

    def beat(self, claim: Claim, progress: float) -> Order:
        """Report the share done, 0…1, and renew the lease. The progress shown never decreases within an attempt."""
        ...

    def finish(self, claim: Claim, outcome: ChunkResult | JobError) -> Order:
        """Commit what the chunk came to: `continue`, also when repeated; any other order says that nothing was.

        The last chunk makes the job succeed (or, with `combines`, the last but one queues the combining chunk, before
        the others of its owner). What the other chunks came to is forgotten with the combining chunk's success, but for
        their pictures; so is everything but the pictures of a job that fails or is cancelled. An error makes the job
        fail, and its other chunks cancelled.
        """
        ...

    def hand_back(self, claim: Claim) -> None:
        """Queue the chunk again, as the next, as if it had not been started. Nothing happens if it is not held."""
        ...

    def retry(self, claim: Claim) -> None:
        """Queue the chunk again, behind its owner's, and count this attempt as one that failed for a passing reason.

        Nothing happens if it is not held.
        """
        ...

    def release(self, worker_name: str) -> None:
        """Tell every process of a worker to hand back what it holds, and give it nothing more."""
        ...

    def abandon(self, process: str) -> None:
        """Take back what a process holds that is known to be dead, as if its lease had ended."""
        ...

    def cancel(self, job: str, *, owner: str | None = None) -> JobState:
        """End the job as cancelled; returns the state before.

        Raises JobEndedError where it has succeeded or failed, and what `get` raises.
        """
        ...

    def delete(self, job: str, *, owner: str | None = None) -> bool:
        """Take one request from the job; False where others are left, whose it stays.

        With its last request it is forgotten, whatever its state: workers learn of it as of a cancelled one. Raises
        what `get` raises.
        """
        ...

    def overdue(self, worker_name: str, seconds: float) -> Sequence[Overdue]:
        """Processes of this worker that still hold a chunk so long after its job has ended or was deleted."""
        ...

    def sweep(self) -> Sweep:
        """Queue chunks whose lease has ended, or fail them with `worker_lost`; forget jobs whose time is over."""
        ...

    def outstanding(self) -> dict[str, int]:
        """How many chunks are queued or running, by queue, cheaply; a queue without any may be missing."""
        ...

    def known(self, jobs: Sequence[str]) -> set[str]:
        """Those of the ids that have a record."""
        ...

    def inputs(self) -> set[str]:
        """The SHA-256 of every input that a record refers to."""
        ...

    def close(self) -> None: ...
