"""What a chunk of a job keeps for the reducer, as JSON: its numbers by name, and arrays as text."""

import base64
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import PlainSerializer, PlainValidator, TypeAdapter
from typing_extensions import TypedDict

from schemas.base import Schema
from service.engine.arrays import Array, Pixels
from service.engine.finite import require_finite


class Chunk(Schema):
    """What one chunk hands to the reducer. Each method declares its own."""


class PackedArray(TypedDict):
    """An array of numbers as `shape`, `type` (little-endian) and base64: JSON holds no bytes."""

    shape: list[int]
    type: str
    base64: str


_PACKED: Final = TypeAdapter(PackedArray)
Numbers = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.uint8]


def pack(values: Numbers) -> PackedArray:
    ordered = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    text = base64.b64encode(ordered.tobytes()).decode("ascii")
    return {"shape": list(values.shape), "type": ordered.dtype.str, "base64": text}


def unpack(given: object) -> Numbers:
    """What `pack` packed, or an array as it is; not to be written to. Raises NotFiniteError."""
    if not isinstance(given, np.ndarray):
        packed = _PACKED.validate_python(given)
        given = np.frombuffer(base64.b64decode(packed["base64"]), packed["type"]).reshape(packed["shape"])
    values: Numbers = given
    if values.dtype != np.uint8:
        require_finite([values])
    return values


PackedFloats = Annotated[Array, PlainValidator(unpack), PlainSerializer(pack)]
PackedDoubles = Annotated[NDArray[np.float64], PlainValidator(unpack), PlainSerializer(pack)]
PackedPixels = Annotated[Pixels, PlainValidator(unpack), PlainSerializer(pack)]
