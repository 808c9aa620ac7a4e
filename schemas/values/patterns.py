"""Numbers of pictures that were made by gradient ascent."""

from pydantic import Field

from schemas.base import Schema
from schemas.values.base import Values


class FilterPattern(Schema):
    """What the ascent of one filter came to."""

    filter: int
    activation: float = Field(description="The filter's mean answer to the last canvas.")
    no_gradient: bool = Field(description="Whether nothing changes the filter's answer, so that there is no picture.")


class PatternSheet(Schema):
    """One sheet of the grid."""

    name: str
    columns: int
    filters: list[int]


class FilterPatternsValues(Values):
    """The pictures that excite filters most."""

    layer: str | None
    seed: int
    size: list[int] = Field(description="Height and width of a picture in pixels.")
    filters: list[FilterPattern]
    no_gradient: list[int] = Field(description="Filters without a picture.")
    sheets: list[PatternSheet]
