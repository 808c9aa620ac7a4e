"""A job as clients see it, and its parts as store and workers pass them on."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field

from schemas.base import Schema
from schemas.results import Answer, ImageFacts
from schemas.sentences import Sentence
from schemas.webhooks import JobWebhook

JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
# Of a model, compared by one job: all of them are loaded together.
MAX_VERSIONS: Final = 50
FINAL_STATES: frozenset[JobState] = frozenset(("succeeded", "failed", "cancelled"))


class StoredImage(ImageFacts):
    """A picture among the artifacts: `file` is its path there, `sha256` that of its `size` bytes."""

    file: str
    sha256: str
    size: int = 0


class ChunkAnswer(Answer):
    """What one chunk of a job came to, but for its pictures.

    Many `values` that only the reducer reads lie in `values_file` among the artifacts; `values` is empty then.
    """

    values_file: str | None = None


class ChunkResult(ChunkAnswer):
    """What one chunk of a job came to."""

    images: list[StoredImage]


class JobImage(ImageFacts):
    href: str = Field(examples=["/v1/jobs/0197f3c2/images/filter-3"])
    sha256: str


class JobResult(Answer):
    images: list[JobImage]


class JobError(Schema):
    """Why a job failed; `code` is one of the stable codes under `/problems/{code}`."""

    code: str = Field(examples=["worker_lost"])
    detail: Sentence


class Progress(Schema):
    done: int = Field(description="Items that are finished.", examples=[12])
    total: int = Field(examples=[64])
    unit: str = Field(examples=["filters"])
    fraction: float = Field(ge=0, le=1, description="Share of the work, unfinished items counted in.", examples=[0.21])


class JobLinks(Schema):
    self: str
    events: str
    cancel: str


class JobVersion(Schema):
    """One of several versions that a job looks at, with the SHA-256 of its file."""

    version: str
    model_sha256: str


class JobRequest(Schema):
    """What was asked for, as it stands in the record: all that a worker needs, and all that it may rely on.

    `image` is the SHA-256 of the picture among the artifacts, or `images` that of a dataset, a ZIP; `model_sha256` is
    that of the model which the parameters were checked against. Of several `versions`, in order, `version` is the last.
    `params` are JSON of any method. Picture or dataset have `input_bytes`.
    """

    model: str
    version: str
    model_sha256: str
    method: str
    params: dict[str, Any]
    image: str | None
    images: str | None = None
    input_bytes: int = 0
    versions: tuple[JobVersion, ...] = ()

    @property
    def input(self) -> str | None:
        return self.image or self.images


class JobRecord(Schema):
    """The part of a job that never changes. `chunks` are the items that are computed together, in order.

    With `combines` one more chunk, numbered `len(chunks)`, makes the whole of them when all others have succeeded.
    `owner` is whose job it is; empty where the service asks for no keys.
    """

    id: str
    owner: str = ""
    queue: str
    request: JobRequest
    unit: str
    chunks: list[list[int]]
    combines: bool

    @property
    def total(self) -> int:
        return sum(map(len, self.chunks))


class JobSummary(Schema):
    """A job in the listing: everything but its pictures and numbers."""

    id: str
    owner: str | None = Field(
        None, description="Whose job it is, told to admins alone: null for others, and where no keys are asked for."
    )
    state: JobState
    revision: int = Field(description="Grows with every change of the job.")
    progress: Progress
    model: str
    version: str
    method: str
    params: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime = Field(description="Until when the job is kept at least; counted anew once it has finished.")
    attempts: int = Field(description="The most starts that any part of the work has taken.")
    retries: int = Field(
        0, description="The most starts of any part that failed for a passing reason, such as storage out of reach."
    )
    error: JobError | None
    links: JobLinks


class Job(JobSummary):
    images: list[JobImage] = Field(description="Pictures ready so far, while there is no result.")
    result: JobResult | None
    webhooks: list[JobWebhook] = Field(default=[], description="Who is told of the job, and how that stands.")


class WebhookMessage(Job):
    """What a webhook is sent: the job as it stands, and what happened to it; `webhooks` is empty."""

    type: Literal["job.completed", "job.output", "job.progress"]


class JobList(Schema):
    jobs: list[JobSummary]
    next: str | None = Field(description="Link to the next page; null on the last.")
