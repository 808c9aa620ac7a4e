"""From a request to a job: checked, cut, its input kept, its record written, the wake-up sent. Loads no model."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from uuid import uuid4

from pydantic_core import to_json

from schemas.jobs import JobRecord, JobRequest, JobVersion
from schemas.tasks import Queue
from service.engine.chunks import JobLimits, plan
from service.engine.images.archive import Dataset
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.model import Model
from service.engine.running.origin import software
from service.engine.running.request import Request
from service.engine.versions.comparison import plan_versions
from service.jobs.artifacts import Artifacts, Kept
from service.jobs.store.bounds import Bounds, OwnerLimitReachedError, OwnerLimits
from service.jobs.store.errors import QueueFullError
from service.jobs.store.outbox import Webhook
from service.jobs.store.port import JobStore, Submission
from service.jobs.worker.notifier import Notifier


@dataclass(frozen=True)
class JobRules:
    """What jobs may be sent, and where they go: models whose name matches one of `gpu_models` to the GPU's queue."""

    image_limits: ImageLimits
    job_limits: JobLimits
    gpu_models: Sequence[str] = ()


@dataclass(frozen=True)
class Draft:
    """A job that could be sent; sending it twice makes one job."""

    record: JobRecord
    duplicate_key: str
    image: ImageFile | None
    images: Dataset | None = None


def draft_job(models: Sequence[Model], request: Request, rules: JobRules, *, owner: str = "") -> Draft:
    """Check all that can be known before computing, and cut the work. Raises a ConvscopeError.

    Several models are versions of one, to be compared.
    """
    model = models[-1]
    if len(models) > 1:
        work = plan_versions(models, request, rules.image_limits, rules.job_limits)
    else:
        work = plan(model, request, rules.image_limits, rules.job_limits)
    images = request.images
    image = request.image if request.method.consumes == "image" and images is None else None
    asked = JobRequest(
        model=model.name,
        version=model.version,
        model_sha256=model.digest,
        method=request.method.name,
        params=request.params.model_dump(mode="json"),
        image=None if image is None else image.sha256,
        images=None if images is None else images.sha256,
        input_bytes=_count_bytes(image, images),
        versions=_list_versions(models),
    )
    record = JobRecord(
        id=uuid4().hex,
        owner=owner,
        queue=_queue(model.name, rules.gpu_models),
        request=asked,
        unit=work.unit,
        chunks=work.chunks,
        combines=work.combines,
    )
    # Another version may compute the same request otherwise. Owners share no job, and cannot tell of each other's.
    key = fingerprint({"owner": owner, "request": asked.model_dump(), "convscope": software().get("convscope")})
    return Draft(record, key, image, images)


def _list_versions(models: Sequence[Model]) -> tuple[JobVersion, ...]:
    if len(models) == 1:
        return ()
    return tuple(JobVersion(version=model.version, model_sha256=model.digest) for model in models)


def _count_bytes(image: ImageFile | None, images: Dataset | None) -> int:
    if images is not None:
        return images.file.seek(0, os.SEEK_END)
    return 0 if image is None else len(image.data)


def fingerprint(value: object) -> str:
    """SHA-256 over canonical JSON: members in order, no spaces."""
    return hashlib.sha256(to_json(_in_order(value))).hexdigest()


class Submissions:
    """Writes drafts down. Safe to use from several threads."""

    def __init__(self, store: JobStore, artifacts: Artifacts, notifier: Notifier, *, max_queued: int | None) -> None:
        self._store = store
        self._artifacts = artifacts
        self._notifier = notifier
        self._max_queued = max_queued

    def send(
        self,
        draft: Draft,
        *,
        fresh: bool = False,
        idempotency_key: str | None = None,
        owner_limits: OwnerLimits | None = None,
        webhook: Webhook | None = None,
    ) -> Submission:
        """Make the job, or find the one that does the same; `webhook` is told of either.

        Raises what store and artifacts raise.
        """
        bounds = Bounds(self._max_queued, owner_limits)
        # Whatever can refuse does so before anything is stored.
        if self._store.admits(draft.record, None if fresh else draft.duplicate_key, bounds):
            # For an input as for a new one, though the same may be kept: of what others keep nobody hears.
            self._artifacts.require_room(draft.record.request.input_bytes if draft.record.owner else 0)
        # Before the record: a worker may claim the job at once.
        kept = self._keep_input(draft)
        try:
            submission = self._store.submit(
                draft.record,
                duplicate_key=draft.duplicate_key,
                fresh=fresh,
                idempotency_key=idempotency_key,
                bounds=bounds,
                webhook=webhook,
            )
        except (QueueFullError, OwnerLimitReachedError):
            # Another took the last place meanwhile. After any other error the record may be written all the same.
            if kept is not None and kept.sha256 not in self._store.inputs():
                self._artifacts.forget_input(kept)
            raise
        if submission.created:
            self._notifier.notify(draft.record.queue, len(draft.record.chunks))
        return submission

    def _keep_input(self, draft: Draft) -> Kept | None:
        asked = draft.record.request
        if draft.image is not None and asked.image is not None:
            return self._artifacts.keep_input(draft.image.data, asked.image)
        if draft.images is not None:
            return self._artifacts.keep_input(draft.images.file, draft.images.sha256)
        return None


def _queue(model: str, gpu_models: Sequence[str]) -> Queue:
    return "gpu" if any(fnmatchcase(model, pattern) for pattern in gpu_models) else "cpu"


def _in_order(value: object) -> object:
    if isinstance(value, dict):
        return {name: _in_order(value[name]) for name in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list | tuple) else value
