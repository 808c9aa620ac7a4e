"""Datasets of pictures that a service has by name, as clients see them."""

from pydantic import Field

from schemas.base import Schema


class DatasetList(Schema):
    datasets: list[str] = Field(
        description="Names for the parameter `dataset`, in order.", examples=[["glyphs", "shapes"]]
    )
