"""Numbers of pictures that were made by gradient ascent."""

from pydantic import Field

from schemas.base import Schema
from schemas.values.base import Values


class FilterPattern(Schema):
    """What the ascent of one filter came to."""

    filter: int = Field(description="The filter, from 0.")
    activation: float = Field(description="The filter's mean answer to the last canvas.")
    no_gradient: bool = Field(description="Whether nothing changes the filter's answer, so that there is no picture.")


class PatternSheet(Schema):
    """One sheet of the grid."""

    name: str = Field(description="Its name among the images.")
    columns: int = Field(description="Pictures in a row.")
    filters: list[int] = Field(description="Its filters, row by row.")


class FilterPatternsValues(Values):
    """The pictures that excite filters most."""

    layer: str | None = Field(description="The layer's path.")
    seed: int = Field(description="Of the noise from which the ascent starts.")
    size: list[int] = Field(description="Height and width of a picture in pixels.")
    filters: list[FilterPattern] = Field(description="Each filter by itself.")
    no_gradient: list[int] = Field(description="Filters without a picture.")
    sheets: list[PatternSheet] = Field(description="What is where in the grid.")
