"""What both stores say when they refuse, so that clients read the same words in either mode."""

from schemas.jobs import JobError, JobState
from service.jobs.store.port import (
    IdempotencyKeyReusedError,
    JobEndedError,
    JobExpiredError,
    JobNotFoundError,
    QueueFullError,
    RequestInProgressError,
)


def not_found(job: str) -> JobNotFoundError:
    return JobNotFoundError(f"There is no job '{job}'. List jobs with GET /v1/jobs.")


def expired(job: str) -> JobExpiredError:
    return JobExpiredError(f"The time of job '{job}' is over and its result is gone. Submit the request again.")


def ended(job: str, state: JobState) -> JobEndedError:
    return JobEndedError(f"Job '{job}' has {state} already and cannot be cancelled. Delete it to forget it.")


def queue_full(max_queued: int) -> QueueFullError:
    return QueueFullError(f"{max_queued} jobs are queued or running already. Try again when some have ended.")


def key_reused() -> IdempotencyKeyReusedError:
    return IdempotencyKeyReusedError("This Idempotency-Key came with another request before. Use a new key.")


def in_progress() -> RequestInProgressError:
    return RequestInProgressError("The first request with this Idempotency-Key is being answered. Try again shortly.")


def worker_lost(max_attempts: int) -> JobError:
    return JobError(
        code="worker_lost",
        detail=f"{max_attempts} workers stopped while they computed the same part of this job. "
        "Ask for less at once, or give the workers more memory; their log says why they stopped.",
    )
