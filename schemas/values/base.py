"""What all `values` have in common. A member that does not apply is left out, where its description says when."""

from pydantic import BaseModel, Field

from schemas.base import Schema


class Values(Schema):
    """The numbers behind a method's pictures, before any scaling."""


class NoValues(Values):
    """Nothing beside the pictures and the predictions."""


# Rows of numbers, one or two axes deeper where a layer has more.
Numbers = list[float] | list[list[float]] | list[list[list[float]]]


def is_none(value: object) -> bool:
    """For `exclude_if`: members that are left out where there is nothing to say."""
    return value is None


def to_json(values: BaseModel) -> dict[str, object]:
    """As it stands in a result."""
    return values.model_dump(mode="json", by_alias=True)


class Picture(Schema):
    """A picture of a dataset."""

    index: int = Field(description="Its place among the names of the dataset, from 0.", examples=[0])
    name: str = Field(description="Its path in the dataset.", examples=["star/1.png"])
    label: str | None = Field(description="The folder that it is in; null at the top.", examples=["star"])
