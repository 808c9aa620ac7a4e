"""Numbers of the units of a layer over a dataset: what each answers, and the pictures that excite it most."""

from pydantic import Field

from schemas.base import Schema
from schemas.values.base import Picture, is_none
from schemas.values.datasets import DatasetValues


class UnitSummary(Schema):
    """What one unit answers to the whole dataset."""

    unit: int = Field(description="The unit, or channel, from 0.")
    mean: float = Field(description="Its mean answer.")
    greatest: float = Field(description="Its greatest answer.")
    greatest_in: str = Field(description="The picture with the greatest answer.")
    silent: bool = Field(description="Whether it answers zero to everything.")


class UnitItem(Picture):
    """What the chosen units answer to one picture; numbers only with `values=raw`."""

    greatest: list[float] | None = Field(
        None, exclude_if=is_none, description="The greatest answer over all places, unit by unit."
    )
    mean: list[float] | None = Field(
        None, exclude_if=is_none, description="The mean answer over all places, unit by unit."
    )
    answers: list[float] | None = Field(
        None, exclude_if=is_none, description="The answers of units without space, unit by unit."
    )


class ShownMaps(Schema):
    """Which pictures the sheet of maps has."""

    pictures: list[str] = Field(description="Their names.")
    folders: int = Field(description="Folders that they are from.")
    of_folders: int = Field(description="Folders of the dataset.")


class UnitActivationsValues(DatasetValues):
    """How strongly the units of a layer answer to the pictures of a dataset."""

    layer: str | None = Field(description="The layer's path.")
    shape: list[int] = Field(description="Of one unit's map: height and width, or nothing without space.")
    units: list[UnitSummary] = Field(description="Each of the chosen units over all pictures.")
    items: list[UnitItem] = Field(description="Every picture that was used.")
    maps: ShownMaps = Field(description="Of which pictures maps are drawn.")


class TopImage(Schema):
    """A picture that excites a unit, and where."""

    index: int = Field(description="The picture's place among the names of the dataset, from 0.")
    name: str = Field(description="Its path in the dataset.")
    value: float = Field(description="The unit's greatest answer to it.")
    position: list[int] | None = Field(description="Row and column of the map; null for a unit without space.")
    patch: list[int] | None = Field(
        description="What the unit sees there: top, left, bottom, right in pixels, perhaps beyond the picture; or null."
    )


class TopImagesOfUnit(Schema):
    """The pictures that excite one unit most, the strongest first; none for a unit that is silent."""

    unit: int = Field(description="The unit, or channel, from 0.")
    images: list[TopImage] = Field(description="The pictures, the strongest first.")


class TopImagesValues(DatasetValues):
    """For each unit of a layer the pictures of a dataset that excite it most."""

    layer: str | None = Field(description="The layer's path.")
    units: list[TopImagesOfUnit] = Field(description="Each of the chosen units.")
