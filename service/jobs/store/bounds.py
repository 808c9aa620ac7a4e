"""How many jobs a store takes: of all together, and of one owner."""

from dataclasses import dataclass
from typing import Final, Literal

from service.errors import ConvscopeError

LimitName = Literal["queued_jobs", "job_items", "stored_bytes"]


class OwnerLimitReachedError(ConvscopeError):
    """One more job would take more than its owner may have."""

    code = "owner_limit_reached"


@dataclass(frozen=True)
class OwnerLimits:
    """What the jobs of one owner may come to, together.

    `queued_jobs` may be queued or running, with `job_items` items. `stored_bytes` are those of the inputs, equal ones
    once, and the pictures of all its jobs that are kept.
    """

    queued_jobs: int
    job_items: int
    stored_bytes: int


@dataclass(frozen=True)
class Bounds:
    """How many jobs of all may be queued or running, and what those of the owner may come to; None: any number."""

    queued: int | None = None
    owner: OwnerLimits | None = None


UNBOUNDED: Final = Bounds()
