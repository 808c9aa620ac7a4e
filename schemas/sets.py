"""Sets of pictures that a service has by name, as clients see them."""

from pydantic import Field

from schemas.base import Schema


class SetList(Schema):
    sets: list[str] = Field(description="Names for the parameter `set`, in order.", examples=[["glyphs", "shapes"]])
