"""What both stores refuse with, and say, so that clients read the same words in either mode."""

from schemas.jobs import JobError, JobState
from service.errors import ConvscopeError
from service.jobs.store.bounds import LimitName, OwnerLimitReachedError, OwnerLimits
from service.jobs.store.outbox import MAX_WEBHOOKS, WebhooksFullError


class JobsUnavailableError(ConvscopeError):
    """The store cannot be reached, or cannot take more."""

    code = "jobs_unavailable"


class JobNotFoundError(ConvscopeError):
    code = "job_not_found"


class JobExpiredError(ConvscopeError):
    code = "job_expired"


class JobEndedError(ConvscopeError):
    code = "job_ended"


class QueueFullError(ConvscopeError):
    code = "queue_full"


class IdempotencyKeyReusedError(ConvscopeError):
    code = "idempotency_key_reused"


class RequestInProgressError(ConvscopeError):
    code = "request_in_progress"


def not_found(job: str) -> JobNotFoundError:
    return JobNotFoundError(f"There is no job '{job}'. List jobs with GET /v1/jobs.")


def expired(job: str) -> JobExpiredError:
    return JobExpiredError(f"The time of job '{job}' is over and its result is gone. Submit the request again.")


def ended(job: str, state: JobState) -> JobEndedError:
    return JobEndedError(f"Job '{job}' has {state} already and cannot be cancelled. Delete it to forget it.")


def queue_full(max_queued: int) -> QueueFullError:
    return QueueFullError(f"{max_queued} jobs are queued or running already. Try again when some have ended.")


def webhooks_full(job: str) -> WebhooksFullError:
    return WebhooksFullError(
        f"An equal request has job '{job}' already, which tells {MAX_WEBHOOKS} webhooks, the most a job may. Send the "
        "request without one and look at the job, or with 'Cache-Control: no-cache' for a job of its own."
    )


def owner_limit_reached(name: LimitName, limits: OwnerLimits, *, used: int, more: int) -> OwnerLimitReachedError:
    """`used` is what the owner's other jobs come to, `more` what this one adds."""
    sentences: dict[LimitName, str] = {
        "queued_jobs": f"{used} of your jobs are queued or running, and {limits.queued_jobs} may be. "
        "Try again when one of them has ended, or cancel one.",
        "job_items": f"Your jobs that are queued or running have {used} items, this one has {more}, and "
        f"{limits.job_items} together may be. Try again when some have ended, or ask for less at once.",
        "stored_bytes": f"Inputs and pictures of your jobs take {used} bytes, this one's input adds {more}, and "
        f"{limits.stored_bytes} may be kept. Delete jobs that are done (DELETE /v1/jobs/{{id}}), or wait until some "
        "expire.",
    }
    return OwnerLimitReachedError(f"{sentences[name]} The limit is '{name}' of your key.")


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
