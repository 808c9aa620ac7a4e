"""Numbers of heat maps: of one picture, and of a dataset as a whole."""

from pydantic import Field

from schemas.base import Schema
from schemas.values.base import Values, is_none
from schemas.values.datasets import Accuracy, ClassName, DatasetValues, PictureItem, UnmatchedLabel


class HeatmapValues(Values):
    """The heat map before it is scaled."""

    min: float = Field(description="The least number of the map.")
    max: float = Field(description="The greatest number of the map.", examples=[0.42])
    shape: list[int] = Field(
        description="Height and width of the map: the layer's own resolution.", examples=[[12, 12]]
    )
    empty: bool = Field(description="Whether there is no evidence for the class at this layer at all.")
    reason: str | None = Field(None, exclude_if=is_none, description="Why the map is empty; left out where it is not.")
    window: list[float] | None = Field(
        None,
        exclude_if=is_none,
        description="What of the picture the map covers: top, left, bottom, right in pixels; left out where it is all.",
    )
    heat_in_border: float | None = Field(
        None,
        exclude_if=is_none,
        description="Share of the heat, 0…1, that lies over the black border; only where the picture was padded.",
    )
    map: list[list[float]] | None = Field(
        None, exclude_if=is_none, description="The map itself, rows of numbers; only with `values=raw`."
    )


class MeanObjectHeat(Schema):
    """How much of the heat lies in the objects: means over the pictures where one is annotated."""

    images: int = Field(description="Pictures with an annotated object.")
    energy: float = Field(description="Share of the heat in the object, 0…1.")
    pointing: float = Field(description="Share of pictures whose hottest pixel lies in the object.")
    area: float = Field(description="Share of the picture that the object takes.")


class ObjectHeat(Schema):
    """How much of one map lies in the object of its picture."""

    file: str = Field(description="The file of the dataset that annotates it.")
    energy: float = Field(description="Share of the heat in the object, 0…1.")
    pointing: bool = Field(description="Whether the hottest pixel lies in the object.")
    area: float = Field(description="Share of the picture that the object takes.")


class HeatmapItem(PictureItem, HeatmapValues):
    """The heat map of one picture of a dataset."""

    object: ObjectHeat | None = Field(description="Null where the dataset does not say where the object is.")
    crowds_left_out: int | None = Field(
        None,
        exclude_if=is_none,
        description="Crowds of a COCO file, which are no object; left out where there are none.",
    )


class HeatmapSummary(Accuracy):
    """A group of pictures: how many maps are empty, and how much of the heat lies in objects."""

    empty: int = Field(description="Maps without evidence.")
    object: MeanObjectHeat | None = Field(description="Null where no picture of the group is annotated.")


class HeatmapGroup(HeatmapSummary):
    """A group of pictures, and the picture of their mean map."""

    images: int = Field(description="Pictures of the group.")
    picture: str | None = Field(description="The name of the mean map among the images; null for an empty group.")


class HeatmapClass(HeatmapGroup, ClassName):
    """The pictures of one class."""


class MeanMaps(Schema):
    """The scale of all mean maps."""

    shape: list[int] = Field(description="Height and width of the mean maps.")
    scale_max: float = Field(description="The number that is drawn in full colour in all of them.")


class HeatmapsOverDataset(DatasetValues, HeatmapSummary):
    """Heat maps of a dataset: of each picture, of each class, and of right and wrong answers."""

    right: HeatmapGroup = Field(description="Pictures that were answered right.")
    wrong: HeatmapGroup = Field(description="Pictures that were answered wrong.")
    classes: list[HeatmapClass] = Field(description="By the class shown where that is known, else by that explained.")
    unmatched_labels: list[UnmatchedLabel] = Field(description="Folders whose names mean none of the model's classes.")
    crowds_left_out: int | None = Field(
        None,
        exclude_if=is_none,
        description="Crowds of a COCO file, which are no object; left out where there are none.",
    )
    mean_maps: MeanMaps = Field(description="The scale of the pictures of means.")
    items: list[HeatmapItem] = Field(description="Every picture that was used.")
