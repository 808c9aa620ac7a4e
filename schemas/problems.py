"""RFC 9457 problem details, the body of every error."""

from pydantic import Field

from schemas.base import Schema
from schemas.sentences import Sentence


class ProblemError(Schema):
    pointer: Sentence = Field(description="JSON Pointer (RFC 6901) to the member at fault.", examples=["#/class_index"])
    detail: Sentence


class Problem(Schema):
    type: str = Field(description="Where the code is explained.", examples=["/problems/layer_not_found"])
    title: str = Field(examples=["Unknown layer"])
    status: int = Field(examples=[422])
    detail: Sentence = Field(description="What to do.")
    instance: str = Field(description="The request's path.")
    code: str = Field(description="Stable: programs may rely on it.", examples=["layer_not_found"])
    errors: list[ProblemError] | None = None
