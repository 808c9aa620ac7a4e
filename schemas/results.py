"""The answer of a method: pictures, numbers, and all that is needed to make it again."""

import base64
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from schemas.base import Schema
from schemas.models import Prediction


def _decode(value: object) -> object:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


# pydantic's own base64 setting writes the URL-safe alphabet, which data URLs and most clients refuse.
Base64 = Annotated[
    bytes,
    BeforeValidator(_decode),
    PlainSerializer(lambda data: base64.b64encode(data).decode("ascii"), when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}),
]

V = TypeVar("V", bound=BaseModel)

TargetKind = Literal["logit", "log_probability", "value"]


class Target(Schema):
    """The number that was explained."""

    index: int = Field(description="The class, from 0.", examples=[3])
    label: str = Field(description="Its name.", examples=["star"])
    score: float = Field(description="The model's own score of the class.", examples=[0.97])
    kind: TargetKind = Field(description="What was differentiated.")
    value: float = Field(description="The differentiated number itself.", examples=[7.31])


class ImageFacts(Schema):
    """What is known of a picture wherever its bytes are."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$", examples=["overlay"])
    layer: str | None = Field(examples=["conv4"])
    media_type: Literal["image/png"] = "image/png"
    width: int = Field(examples=[640])
    height: int = Field(examples=[480])


class ResultImage(ImageFacts):
    data: Base64


class Provenance(Schema):
    """How a result came about. Parameters and plan are each method's own: JSON of no one form."""

    params: dict[str, Any] = Field(description="Every parameter as it was used, defaults included.")
    seed: int | None = Field(description="Null for methods without randomness.")
    image_sha256: str | None
    images_sha256: str | None = Field(None, description="Of the ZIP, where the method looked at a dataset.")
    model_sha256: str
    plan: dict[str, Any] = Field(description="How it was computed: input size, preprocessing, resampling.")
    software: dict[str, str]


class Timings(Schema):
    decode: float
    queue: float
    compute: float
    render: float


class Answer(Schema):
    """A result but for its pictures. `values` are JSON of any method; `values_as` gives them the method's form."""

    model: str = Field(examples=["shapes"])
    version: str = Field(examples=["1"])
    method: str = Field(examples=["grad-cam"])
    layer: str | None = Field(examples=["conv4"])
    target: Target | None
    predictions: list[Prediction]
    values: dict[str, Any] = Field(description="The numbers behind the pictures, before any scaling.")
    provenance: Provenance
    timings_seconds: Timings

    def values_as(self, model: type[V]) -> V:
        """The numbers as a model of `schemas.values`, such as HeatmapValues. Raises pydantic's ValidationError."""
        return model.model_validate(self.values)


class Result(Answer):
    images: list[ResultImage]
