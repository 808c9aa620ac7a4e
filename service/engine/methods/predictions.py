"""Predictions: what the model says of the picture, best class first; and of a dataset, how often that is right."""

from collections.abc import Sequence

from schemas.methods import ClassScores
from schemas.values.base import NoValues
from schemas.values.datasets import PictureItem, PredictionsOverDataset
from service.engine.arrays import Array
from service.engine.datasets.accuracy import list_unmatched, measure_accuracy, measure_classes
from service.engine.drawing.visuals import ScoreList
from service.engine.kinds.context import Context, Reduction, Summary
from service.engine.kinds.method import ImageMethod
from service.engine.kinds.picture_items import Item, Items, NoNote, OverImages
from service.engine.kinds.requirements import refuse_without_classes
from service.engine.ports.probe import ScoresProbe


class PredictionsParams(ClassScores):
    """Parameters of `predictions`."""


def predictions(probe: ScoresProbe, image: Array, _: PredictionsParams, __: Context) -> ScoreList:
    return ScoreList(probe.scores(image))


def reduce(found: Sequence[Item[NoValues, NoNote]], _: Reduction, __: PredictionsParams) -> Summary:
    """The accuracy over all pictures whose folders name a class, and class by class."""
    items: list[PictureItem] = [item.facts for item in found]
    values = PredictionsOverDataset(
        **dict(measure_accuracy(items)),
        classes=measure_classes(items),
        unmatched_labels=list_unmatched(items),
        items=items,
    )
    return Summary((), values)


PREDICTIONS = ImageMethod(
    name="predictions",
    title="Predictions",
    description="The model's scores for the picture, best class first.",
    params=PredictionsParams,
    values=(NoValues,),
    compute=predictions,
    refuse=refuse_without_classes,
    makes_pictures=False,
    over_images=OverImages(values=PredictionsOverDataset, chunk=Items[NoValues, NoNote], reduce=reduce),
    compared="the scores of all classes",
)
