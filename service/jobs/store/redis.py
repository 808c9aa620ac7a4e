"""Job records on a Redis server, for several machines. What happens to them is written in `scripts/`."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import Any, Final, cast
from uuid import uuid4

from pydantic import TypeAdapter
from pydantic_core import to_json

from schemas.jobs import ChunkAnswer, ChunkResult, JobError, JobRecord, JobState, StoredImage
from service.jobs.store import errors
from service.jobs.store.bounds import UNBOUNDED, Bounds, LimitName
from service.jobs.store.outbox import MAX_WEBHOOKS, Webhook
from service.jobs.store.port import (
    MAX_REQUESTS,
    Chunk,
    ChunkState,
    Claim,
    Order,
    Overdue,
    Picture,
    Rules,
    Snapshot,
    Submission,
    Sweep,
    Worker,
)
from service.jobs.store.redis_outbox import RedisOutbox, read_status
from service.jobs.store.redis_scripts import Scripts

_IMAGES: Final = TypeAdapter(tuple[StoredImage, ...])


class RedisJobStore(RedisOutbox):
    def __init__(self, url: str, rules: Rules) -> None:
        super().__init__(Scripts(url), rules)

    def reserve(self, key: str, fingerprint: str) -> str | None:
        reply = self._scripts.run(
            "reserve",
            key,
            fingerprint,
            uuid4().hex,
            self._rules.reservation_seconds,
            self._rules.idempotency_seconds,
            self._rules.idempotency_keys,
        )
        if reply[0] == "reused":
            raise errors.key_reused()
        if reply[0] == "busy":
            raise errors.in_progress()
        return str(reply[1]) if reply[0] == "answered" else None

    def unreserve(self, key: str) -> None:
        self._scripts.run("unreserve", key)

    def admits(self, record: JobRecord, duplicate_key: str | None, bounds: Bounds) -> bool:
        reply = self._scripts.run("admits", duplicate_key or "", *_size(record), *_bounds(bounds))
        _refuse_beyond(bounds, reply)
        return bool(reply[0] == "new")

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
        reply = self._scripts.run(
            "submit",
            record.id,
            record.model_dump_json(),
            record.queue,
            len(record.chunks) + record.combines,
            int(record.combines),
            duplicate_key,
            int(fresh),
            idempotency_key or "",
            self._rules.result_seconds,
            self._rules.idempotency_seconds,
            self._rules.idempotency_keys,
            MAX_REQUESTS,
            *_size(record),
            *_bounds(bounds),
            *self._telling(),
            MAX_WEBHOOKS,
            *(("", "", "") if webhook is None else (webhook.url, webhook.receiver, " ".join(webhook.events))),
        )
        if reply[0] == "webhooks":
            raise errors.webhooks_full(reply[1])
        _refuse_beyond(bounds, reply)
        return Submission(reply[1], created=reply[0] == "created")

    def get(self, job: str, *, owner: str | None = None, after: int | None = None) -> Snapshot:
        reply = self._about(job, owner, "get", "" if after is None else after)
        return _snapshot(_pairs(reply[1]), _pairs(reply[2]), reply[3], [_pairs(webhook) for webhook in reply[4]])

    def answers(self, job: str) -> Sequence[ChunkAnswer]:
        found = _pairs(self._scripts.run("answers", job)[1])
        return [ChunkAnswer.model_validate_json(found[number]) for number in sorted(found, key=int)]

    def picture(self, job: str, name: str, *, owner: str | None = None) -> Picture | None:
        _, *found = self._about(job, owner, "picture", name)
        return Picture(StoredImage.model_validate_json(found[0]), float(found[1])) if found else None

    def revision(self, job: str, *, owner: str | None = None) -> int:
        return int(self._about(job, owner, "revision")[1])

    def list(self, *, limit: int, owner: str | None = None, after: str | None = None) -> Sequence[Snapshot]:
        reply = self._scripts.run("list", _sees(owner), limit, after or "")
        if after is not None:
            _refuse_absent(after, reply)
        return [_snapshot(_pairs(fields), {}, "", ()) for fields in reply[1:]]

    def claim(self, queue: str, worker: Worker) -> Claim | None:
        reply = self._scripts.run("claim", queue, worker.name, worker.process, self._rules.lease_seconds)
        if reply[0] == "none":
            return None
        _, record, *numbers = reply
        return Claim(JobRecord.model_validate_json(record), *map(int, numbers))

    def beat(self, claim: Claim, progress: float) -> Order:
        return self._order("beat", claim, min(progress, 1.0), self._rules.lease_seconds, *self._telling())

    def finish(self, claim: Claim, outcome: ChunkResult | JobError) -> Order:
        if isinstance(outcome, JobError):
            error = outcome.model_dump_json()
            return self._order("finish", claim, "", "", error, self._rules.result_seconds, 0, *self._telling())
        result = outcome.model_dump_json(exclude={"images"})
        images = to_json(outcome.images).decode() if outcome.images else ""
        names, size = [image.name for image in outcome.images], sum(image.size for image in outcome.images)
        rules = self._rules.result_seconds, size, *self._telling()
        return self._order("finish", claim, result, images, "", *rules, *names)

    def hand_back(self, claim: Claim) -> None:
        self._scripts.run("hand_back", claim.record.id, claim.chunk, claim.fence)

    def retry(self, claim: Claim) -> None:
        self._scripts.run("retry", claim.record.id, claim.chunk, claim.fence)

    def release(self, worker_name: str) -> None:
        self._scripts.run("release", worker_name)

    def abandon(self, process: str) -> None:
        self._scripts.run("abandon", process, *self._loss())

    def cancel(self, job: str, *, owner: str | None = None) -> JobState:
        reply = self._about(job, owner, "cancel", uuid4().hex, self._rules.result_seconds, *self._telling())
        state: JobState = reply[1]
        if reply[0] == "ended":
            raise errors.ended(job, state)
        return state

    def delete(self, job: str, *, owner: str | None = None) -> bool:
        return bool(self._about(job, owner, "delete", uuid4().hex)[1] == "forgotten")

    def overdue(self, worker_name: str, seconds: float) -> Sequence[Overdue]:
        _, *holds = self._scripts.run("overdue", worker_name, seconds)
        return [Overdue(job, int(chunk), Worker(worker_name, process)) for job, chunk, process in holds]

    def sweep(self) -> Sweep:
        reply = self._scripts.run("sweep", uuid4().hex, *self._loss(), self._rules.tombstone_seconds)
        return Sweep(tuple(reply[1]), dict(reply[2]))

    def outstanding(self) -> dict[str, int]:
        return dict(self._scripts.run("outstanding")[1])

    def known(self, jobs: Sequence[str]) -> set[str]:
        return set(self._scripts.run("known", *jobs)[1:])

    def inputs(self) -> set[str]:
        return set(self._scripts.run("inputs")[1])

    def close(self) -> None:
        self._scripts.close()

    def _about(self, job: str, owner: str | None, script: str, *arguments: str | float) -> Any:
        reply = self._scripts.run(script, job, _sees(owner), *arguments)
        _refuse_absent(job, reply)
        return reply

    def _order(self, script: str, claim: Claim, *arguments: str | float) -> Order:
        order: Order = self._scripts.run(script, claim.record.id, claim.chunk, claim.fence, *arguments)[0]
        return order

    def _loss(self) -> tuple[int, str, float, float, float]:
        error = errors.worker_lost(self._rules.max_attempts).model_dump_json()
        return self._rules.max_attempts, error, self._rules.result_seconds, *self._telling()

    def _telling(self) -> tuple[float, float]:
        return self._rules.delivery_seconds, self._rules.progress_seconds


def _size(record: JobRecord) -> tuple[str | int, ...]:
    """Whose job it is and what it adds, as the scripts have it."""
    return record.owner, record.total, record.request.input or "", record.request.input_bytes


def _bounds(bounds: Bounds) -> tuple[str | int, ...]:
    """As the scripts have them: an empty text is no bound."""
    queued = "" if bounds.queued is None else bounds.queued
    owner = ("", "", "") if bounds.owner is None else astuple(bounds.owner)
    return queued, *owner


def _refuse_beyond(bounds: Bounds, reply: Sequence[Any]) -> None:
    if reply[0] == "full" and bounds.queued is not None:
        raise errors.queue_full(bounds.queued)
    if reply[0] == "limit" and bounds.owner is not None:
        _, name, used, more = reply
        raise errors.owner_limit_reached(cast("LimitName", name), bounds.owner, used=used, more=more)


def _sees(owner: str | None) -> str:
    """Whose jobs may be seen, as the scripts have it: no text of an owner's is that of all."""
    return "" if owner is None else f"={owner}"


def _refuse_absent(job: str, reply: Sequence[str]) -> None:
    if reply[0] == "expired":
        raise errors.expired(job)
    if reply[0] == "missing":
        raise errors.not_found(job)


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _snapshot(
    fields: dict[str, str], images: dict[str, str], answer: str, webhooks: Sequence[dict[str, str]]
) -> Snapshot:
    return Snapshot(
        record=JobRecord.model_validate_json(fields["record"]),
        state=cast("JobState", fields["state"]),
        revision=int(fields["revision"]),
        created=float(fields["created"]),
        started=_time(fields.get("started")),
        finished=_time(fields.get("finished")),
        expires=float(fields["expires"]),
        error=JobError.model_validate_json(fields["error"]) if "error" in fields else None,
        chunks=tuple(_chunks(fields, images)),
        answer=ChunkAnswer.model_validate_json(answer) if answer else None,
        webhooks=tuple(map(read_status, webhooks)),
    )


def _chunks(fields: dict[str, str], images: dict[str, str]) -> Iterator[Chunk]:
    for number in range(int(fields["count"])):
        found = images.get(str(number))
        yield Chunk(
            state=cast("ChunkState", fields[f"c{number}.state"]),
            attempts=int(fields.get(f"c{number}.attempts", 0)),
            retries=int(fields.get(f"c{number}.retries", 0)),
            progress=float(fields.get(f"c{number}.progress", 0)),
            revision=int(fields.get(f"c{number}.revision", 0)),
            images=() if found is None else _IMAGES.validate_json(found),
        )


def _time(text: str | None) -> float | None:
    return None if text is None else float(text)
