"""A job as the store has it, as clients see it. Knows the routes of a job, nothing else of HTTP.

`base` is what all links begin with: the path below which the service is seen, or its URL.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from schemas.jobs import (
    FINAL_STATES,
    Job,
    JobImage,
    JobLinks,
    JobResult,
    JobSummary,
    Progress,
    StoredImage,
)
from schemas.results import Answer
from schemas.webhooks import JobWebhook, WebhookState
from service.jobs.store.outbox import WebhookStatus
from service.jobs.store.port import Chunk, Snapshot


def summarize(snapshot: Snapshot, base: str, *, shows_owner: bool = False) -> JobSummary:
    """Everything but pictures and numbers; whose job it is only for who sees the jobs of all."""
    record, asked = snapshot.record, snapshot.record.request
    route = job_route(record.id, base)
    return JobSummary(
        id=record.id,
        owner=(record.owner or None) if shows_owner else None,
        state=snapshot.state,
        revision=snapshot.revision,
        progress=measure_progress(snapshot),
        model=asked.model,
        version=asked.version,
        method=asked.method,
        params=asked.params,
        created_at=_time(snapshot.created),
        started_at=None if snapshot.started is None else _time(snapshot.started),
        finished_at=None if snapshot.finished is None else _time(snapshot.finished),
        expires_at=_time(snapshot.expires),
        attempts=max((chunk.attempts for chunk in snapshot.chunks), default=0),
        retries=max((chunk.retries for chunk in snapshot.chunks), default=0),
        error=snapshot.error,
        links=JobLinks(self=route, events=f"{route}/events", cancel=f"{route}/cancel"),
    )


def describe(snapshot: Snapshot, base: str, *, shows_owner: bool = False) -> Job:
    """The job with its result, or with the pictures that are ready so far."""
    summary, result = summarize(snapshot, base, shows_owner=shows_owner), make_result(snapshot, base)
    images = [] if result else _link(snapshot, stored_images(snapshot), base)
    return Job(**_members(summary, JobSummary), images=images, result=result, webhooks=_webhooks(snapshot))


def make_result(snapshot: Snapshot, base: str) -> JobResult | None:
    """The numbers of the chunk that combined, or of the only one, and all pictures; None before the job succeeded."""
    if snapshot.answer is None:
        return None
    images = _link(snapshot, stored_images(snapshot), base)
    return JobResult(**_members(snapshot.answer, Answer), images=images)


def stored_images(snapshot: Snapshot) -> list[StoredImage]:
    """Every picture so far: those of the whole first, then the chunks' own in order."""
    chunks = snapshot.chunks
    if snapshot.record.combines:
        chunks = chunks[-1], *chunks[:-1]
    return [image for chunk in chunks for image in chunk.images]


def images_since(snapshot: Snapshot, revision: int, base: str) -> list[JobImage]:
    """The pictures of chunks that have succeeded after that revision, in the order in which they did."""
    chunks = [chunk for chunk in snapshot.chunks if chunk.revision > revision]
    chunks.sort(key=lambda chunk: chunk.revision)
    return _link(snapshot, [image for chunk in chunks for image in chunk.images], base)


def measure_progress(snapshot: Snapshot) -> Progress:
    """Items done, and the share of the work; combining, which is quick, does not count."""
    record = snapshot.record
    # A snapshot has one chunk more than the record where it combines.
    chunks = list(zip(record.chunks, snapshot.chunks, strict=False))
    done = sum(len(items) for items, chunk in chunks if chunk.state == "succeeded")
    work = sum(len(items) * _share(chunk) for items, chunk in chunks)
    fraction = min(1.0, work / record.total) if record.total else 1.0
    return Progress(done=done, total=record.total, unit=record.unit, fraction=fraction)


def is_final(snapshot: Snapshot) -> bool:
    return snapshot.state in FINAL_STATES


def job_route(job: str, base: str) -> str:
    return f"{base}/v1/jobs/{job}"


def _share(chunk: Chunk) -> float:
    if chunk.state == "succeeded":
        return 1.0
    return chunk.progress if chunk.state == "running" else 0.0


def _link(snapshot: Snapshot, images: Iterable[StoredImage], base: str) -> list[JobImage]:
    route = job_route(snapshot.record.id, base)
    return [
        JobImage(**image.model_dump(exclude={"file", "size"}), href=f"{route}/images/{image.name}") for image in images
    ]


def _webhooks(snapshot: Snapshot) -> list[JobWebhook]:
    return [
        JobWebhook(
            receiver=webhook.receiver,
            events=list(webhook.events),
            state=_webhook_state(webhook, is_final(snapshot)),
            attempts=webhook.attempts,
            last_status=webhook.last_status,
            last_error=webhook.last_error,
            next_at=None if webhook.due is None else _time(webhook.due),
        )
        for webhook in snapshot.webhooks
    ]


def _webhook_state(webhook: WebhookStatus, has_ended: bool) -> WebhookState:  # noqa: FBT001
    if webhook.ending is not None:
        return webhook.ending
    if webhook.due is not None:
        return "pending"
    return "delivered" if has_ended else "waiting"


def _members(value: Answer | JobSummary, kind: type[Answer | JobSummary]) -> dict[str, object]:
    return {name: getattr(value, name) for name in kind.model_fields}


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
