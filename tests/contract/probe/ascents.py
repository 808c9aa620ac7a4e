"""Short ascents on a subject's classifier."""

from typing import Any

import numpy as np

from service.engine.arrays import Array
from service.engine.images.preprocessing import Preprocessing
from service.engine.ports.ascent import Ascended, Ascent, Canvas, FilterMeans, Schedule
from tests.contract.probe.subjects import Subject


def climb(
    subject: Subject,
    *filters: int,
    layer: str | None = None,
    start: Array | None = None,
    prepared: Preprocessing | None = None,
    **schedule: Any,
) -> Ascended:
    canvas = Canvas(start_for(subject, *filters) if start is None else start, prepared)
    plan = Schedule(**{"steps": 6, "step_size": 0.05, **schedule})
    ascent = Ascent(FilterMeans(layer or subject.layer, filters), canvas, plan)
    return subject.classifier.probe.ascend(ascent, lambda _: None)


def start_for(subject: Subject, *filters: int) -> Array:
    """Of each filter always the same noise."""
    return np.concatenate([subject.classifier.pictures(seed=number) for number in filters])
