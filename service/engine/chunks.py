"""Jobs over the one path of computation: a request cut into chunks, each computed by itself, then combined."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from schemas.results import Answer, Result
from service.engine.images import ImageLimits
from service.engine.model import Model
from service.engine.probe import Pixels
from service.engine.run import Request


@dataclass(frozen=True)
class JobLimits:
    """What one job may ask for."""

    max_items: int = 2048
    max_steps: int = 1000
    max_size: int = 512


@dataclass(frozen=True)
class Plan:
    """The chunks of a request, by item; with `combines` their answers are made one in the end."""

    unit: str
    chunks: list[list[int]]
    combines: bool


def plan(model: Model, request: Request, image_limits: ImageLimits, job_limits: JobLimits) -> Plan:
    """Check all that can be known before computing, the picture included, and cut the work.

    A method without an axis is one chunk. Raises a ConvscopeError.
    """
    raise NotImplementedError


def compute(
    model: Model, request: Request, items: Sequence[int], image_limits: ImageLimits, report: Callable[[float], None]
) -> Result:
    """Compute one chunk. `report` is called with the share done, and may raise to stop the work."""
    raise NotImplementedError


def combine(model: Model, request: Request, parts: Sequence[Answer], pictures: Iterable[tuple[str, Pixels]]) -> Result:
    """Make the whole of all chunks' answers: the result's numbers, and the pictures that come before the chunks' own.

    `pictures` are those of all chunks in order, by name, read as they are needed.
    """
    raise NotImplementedError
