"""Predictions: what the model says of the picture, best class first."""

from schemas.methods import ClassScores
from service.engine.arrays import Array
from service.engine.method import Compared, Method, refuse_without_classes
from service.engine.probe import Probe
from service.engine.visuals import ScoreList


class PredictionsParams(ClassScores):
    """Parameters of `predictions`."""


def predictions(probe: Probe, image: Array, _: PredictionsParams) -> ScoreList:
    return ScoreList(probe.scores(image))


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
    compared=Compared("the scores of all classes", lambda scores: {"": scores.scores.values}),
)
