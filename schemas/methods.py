"""The parameters that methods share, and how a method presents itself on `GET /v1/methods`."""

from typing import Any, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from schemas.base import Schema
from schemas.sentences import Sentence

MethodKind = Literal["interactive", "job"]
Consumes = Literal["none", "image", "images", "latent"]


# Far beyond what any parameter means: nothing longer is cut, joined or searched.
_MAX_CHARACTERS: Final = 2**16
_MAX_ITEMS: Final = 2000


class MethodParams(Schema):
    """Base of every method's parameters; the same model validates forms, JSON and the terminal."""

    @field_validator("*", mode="before")
    @classmethod
    def _is_not_endless(cls, value: object) -> object:
        if isinstance(value, str) and len(value) > _MAX_CHARACTERS:
            raise ValueError(f"at most {_MAX_CHARACTERS} characters are taken")
        if isinstance(value, list) and len(value) > _MAX_ITEMS:
            raise ValueError(f"at most {_MAX_ITEMS} items are taken")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _bool_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        # pydantic would read `true` as 1, as forms must have their numbers read from text.
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("true and false are no values of this parameter")
        return value


class ClassScores(MethodParams):
    """For methods whose answer lists the model's predictions."""

    top: int = Field(5, ge=1, le=1000, description="How many predictions to list, best first.", examples=[3])


class MethodDescription(Schema):
    """A method as clients and the page see it; JSON Schemas are objects of any form."""

    name: str = Field(examples=["grad-cam"])
    title: str = Field(examples=["Class heat map (Grad-CAM)"])
    kind: MethodKind
    consumes: Consumes
    parameters: dict[str, Any] = Field(description="JSON Schema of the parameters.")
    values: dict[str, Any] = Field(
        description="JSON Schema of `values` in a result: of one picture or network, or of a dataset."
    )


class MethodList(Schema):
    methods: list[MethodDescription]


class MethodAvailability(Schema):
    name: str = Field(examples=["grad-cam"])
    available: bool
    reason: Sentence | None = Field(None, description="Why the method cannot work on this model.")
