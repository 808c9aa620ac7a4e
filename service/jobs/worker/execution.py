"""The worker's loop: claim a chunk, compute it, finish it. The same in the embedded worker and under Celery."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from schemas.jobs import ChunkResult, JobError, JobRequest, JobVersion, StoredImage
from schemas.results import Result
from service.engine import chunks
from service.engine.arrays import Pixels
from service.engine.chunks import JobLimits
from service.engine.drawing.png import decode_png
from service.engine.images.archive import Dataset, reopen_dataset
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.kinds.method import AnyMethod
from service.engine.model import Model
from service.engine.parameters import validate
from service.engine.running.reduction import Finished
from service.engine.running.request import Request
from service.engine.versions.comparison import FinishedVersions, combine_versions, compute_versions
from service.errors import (
    ConvscopeError,
    MethodUnavailableError,
    ModelFailedError,
    ModelNotFoundError,
    VersionNotFoundError,
    WeightsUnavailableError,
)
from service.jobs.artifacts import ArtifactMissingError, Artifacts, StorageUnavailableError
from service.jobs.store.errors import JobsUnavailableError
from service.jobs.store.port import Claim, JobStore, Worker
from service.jobs.worker.attempt import Attempt, forget_numbers, read_whole
from service.jobs.worker.heartbeat import Heartbeat, StoppedError
from service.models.catalog import Catalog

logger = logging.getLogger(__name__)

# How long a store that has gone is waited for with a finished chunk in hand.
FINISH_PATIENCE_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 0.5
# What may be otherwise in a moment, or for another worker. Model, input and pictures were there when the record was
# written: that they are missing may mean that a shared folder is. If the job has been deleted, the next report says so.
_PASSING: Final = (
    StorageUnavailableError,
    ArtifactMissingError,
    WeightsUnavailableError,
    ModelNotFoundError,
    VersionNotFoundError,
    OSError,
)
_MAX_RETRY_SECONDS: Final = 30.0

Report = Callable[[float], None]


class ModelChangedError(ConvscopeError):
    """The model's file is no longer the one that the parameters were checked against."""

    code = "model_changed"


@dataclass(frozen=True)
class Retries:
    """How many attempts at a chunk may fail for a passing reason, and how long is waited after the first of them.

    Workers that are lost are the store's to count.
    """

    max_attempts: int = 5
    first_pause_seconds: float = 1.0

    def pause_seconds(self, failed: int) -> float:
        """After so many failed attempts: twice as long after each further one."""
        return min(self.first_pause_seconds * 2.0 ** min(failed - 1, 10), _MAX_RETRY_SECONDS)


@dataclass(frozen=True)
class Execution:
    """Computes chunks over the same engine as interactive requests."""

    store: JobStore
    artifacts: Artifacts
    catalog: Catalog
    methods: Mapping[str, AnyMethod]
    image_limits: ImageLimits
    job_limits: JobLimits
    lease_seconds: float
    retries: Retries = Retries()
    _datasets: dict[str, Dataset] = field(default_factory=dict, init=False, repr=False)

    def work(self, queue: str, worker: Worker) -> bool:
        """Compute the queue's oldest chunk; False where none waits. Raises JobsUnavailableError."""
        claim = self.store.claim(queue, worker)
        if claim is None:
            return False
        name = f"job {claim.record.id} chunk {claim.chunk} attempt {claim.attempt} fence {claim.fence}"
        logger.info("started %s", name)
        with Heartbeat(self.store, claim, lease_seconds=self.lease_seconds) as heartbeat:
            try:
                outcome = self._attempt(claim, heartbeat.report)
                if outcome is None:
                    self.store.retry(claim)
                    logger.info("gave up %s: retry", name)
                    return True
                order = self._finish(claim, outcome)
                logger.info("finished %s: %s", name, "committed" if order == "continue" else order)
                if order != "continue":
                    # No record names what was written.
                    Attempt(self.artifacts, claim).discard()
                elif isinstance(outcome, JobError) or _is_combining(claim):
                    forget_numbers(self.artifacts, claim.record.id)
            except StoppedError as stop:
                logger.info("gave up %s: %s", name, stop.order)
                if stop.order == "release":
                    self.store.hand_back(claim)
            except (SystemExit, KeyboardInterrupt):
                # A signal ends the process, at any point: what is half done is another's to do.
                with suppress(JobsUnavailableError):
                    self.store.hand_back(claim)
                raise
        return True

    def release_inputs(self) -> None:
        """Let go of what is kept for the next chunk. To be called when there is nothing to do."""
        while self._datasets:
            self._datasets.popitem()[1].close()

    def _attempt(self, claim: Claim, report: Report) -> ChunkResult | JobError | None:
        """The chunk's result, or why there is none; None where another attempt may make it, after a pause."""
        try:
            return self._make_result(claim, report)
        except (JobsUnavailableError, StoppedError):
            raise
        except Exception as error:
            # An open dataset may be what is broken, and would break the next chunk too.
            self.release_inputs()
            if isinstance(error, _PASSING) and claim.retries + 1 < self.retries.max_attempts:
                logger.warning("job %s chunk %d is tried again: %s", claim.record.id, claim.chunk, error)
                self._pause(claim, report)
                return None
            if isinstance(error, ConvscopeError):
                return JobError(code=error.code, detail=error.detail)
            logger.exception("job %s chunk %d failed unexpectedly", claim.record.id, claim.chunk)
            return JobError(code="internal_error", detail="an unexpected error; the worker's log has it")

    def _make_result(self, claim: Claim, report: Report) -> ChunkResult:
        attempt = Attempt(self.artifacts, claim)
        try:
            return attempt.keep(self._compute(claim, attempt, report))
        except BaseException:
            attempt.discard()
            raise

    def _pause(self, claim: Claim, report: Report) -> None:
        """The lease is kept meanwhile. Raises StoppedError where the job is cancelled, or the worker told to end."""
        end = time.monotonic() + self.retries.pause_seconds(claim.retries + 1)
        while time.monotonic() < end:
            report(0.0)
            time.sleep(min(_PAUSE_SECONDS, self.retries.first_pause_seconds))

    def _compute(self, claim: Claim, attempt: Attempt, report: Report) -> Result:
        models = self._models(claim)
        request = self._request(claim)
        if _is_combining(claim):
            whole = self._combine(claim, models, request, report)
            return whole.model_copy(update={"images": list(map(attempt.write, whole.images))})
        request = replace(request, write=attempt.write)
        items = claim.record.chunks[claim.chunk]
        if len(models) > 1:
            return compute_versions(models, request, items, self.image_limits, report)
        return chunks.compute(models[-1], request, items, self.image_limits, report)

    def _combine(self, claim: Claim, models: Sequence[Model], request: Request, report: Report) -> Result:
        job = claim.record.id
        answers = []
        for answer in self.store.answers(job):
            report(0.0)
            answers.append(read_whole(self.artifacts, answer))
        if not answers:
            # The job has ended, and with it what its chunks came to.
            raise StoppedError("cancel")
        images = [image for chunk in self.store.get(job).chunks for image in chunk.images]
        pictures = partial(self._pictures, images, report)
        if len(models) > 1:
            return combine_versions(models, request, FinishedVersions(answers, pictures, report), self.image_limits)
        return chunks.combine(models[-1], request, Finished(answers, pictures(), report), self.image_limits)

    def _models(self, claim: Claim) -> list[Model]:
        asked = claim.record.request
        wanted = asked.versions or (JobVersion(version=asked.version, model_sha256=asked.model_sha256),)
        return [self._model(asked, version) for version in wanted]

    def _model(self, asked: JobRequest, wanted: JobVersion) -> Model:
        with suppress(ModelNotFoundError, VersionNotFoundError, ModelFailedError):
            model = self.catalog.model(asked.model, wanted.version)
            if model.digest == wanted.model_sha256:
                return model
        # The service may have seen what came a moment ago, and this process not yet.
        self.catalog.refresh()
        model = self.catalog.model(asked.model, wanted.version)
        if model.digest != wanted.model_sha256:
            raise ModelChangedError(f"the file of '{asked.model}' has changed since the job was sent: send it again")
        return model

    def _request(self, claim: Claim) -> Request:
        asked = claim.record.request
        method = self.methods.get(asked.method)
        if method is None:
            raise MethodUnavailableError(f"this worker is of a version that does not know '{asked.method}'")
        params = validate(method.params, asked.params)
        if asked.images is not None:
            return Request(method, params, None, images=self._open_dataset(asked.images))
        image = None if asked.image is None else ImageFile(self.artifacts.read_input(asked.image), asked.image)
        return Request(method, params, image)

    def _open_dataset(self, sha256: str) -> Dataset:
        """The dataset of the latest chunk stays open: listing ten thousand pictures takes half a second."""
        if sha256 not in self._datasets:
            self.release_inputs()
            self._datasets[sha256] = reopen_dataset(self.artifacts.open_dataset(sha256), sha256)
        return self._datasets[sha256]

    def _pictures(self, made: list[StoredImage], report: Report, prefix: str = "") -> Iterator[tuple[str, Pixels]]:
        """All pictures whose names start so, without that, read one by one."""
        images = [image for image in made if image.name.startswith(prefix)]
        for number, image in enumerate(images):
            report(number / len(images))
            yield image.name.removeprefix(prefix), decode_png(self.artifacts.read(image.file))

    def _finish(self, claim: Claim, outcome: ChunkResult | JobError) -> str:
        end = time.monotonic() + FINISH_PATIENCE_SECONDS
        while True:
            try:
                return self.store.finish(claim, outcome)
            except JobsUnavailableError:
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE_SECONDS)


def _is_combining(claim: Claim) -> bool:
    return claim.chunk == len(claim.record.chunks)
