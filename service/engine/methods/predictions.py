"""Predictions: what the model says of the picture, best class first; and of a dataset, how often that is right."""

from collections.abc import Iterable, Sequence
from typing import Any

from schemas.methods import ClassScores
from schemas.results import Answer
from service.engine.arrays import Array
from service.engine.datasets.accuracy import list_unmatched, measure_accuracy, measure_classes
from service.engine.drawing.visuals import ScoreList
from service.engine.method import Compared, Method, OverImages, Whole, refuse_without_classes
from service.engine.ports.probe import Probe


class PredictionsParams(ClassScores):
    """Parameters of `predictions`."""


def predictions(probe: Probe, image: Array, _: PredictionsParams) -> ScoreList:
    return ScoreList(probe.scores(image))


def combine(parts: Sequence[Answer], _: Iterable[Any], __: PredictionsParams) -> Whole:
    """The accuracy over all pictures whose folders name a class, and class by class."""
    items = [item for part in parts for item in part.values["items"]]
    numbers = measure_accuracy(items) | {
        "classes": measure_classes(items),
        "unmatched_labels": list_unmatched(items),
        "items": items,
    }
    return Whole((), numbers)


PREDICTIONS = Method(
    name="predictions",
    title="Predictions",
    description="The model's scores for the picture, best class first.",
    kind="interactive",
    consumes="image",
    params=PredictionsParams,
    compute=predictions,
    refuse=refuse_without_classes,
    makes_pictures=False,
    over_images=OverImages(combine),
    compared=Compared("the scores of all classes", lambda scores: {"": scores.scores.values}),
)
