"""What goes into a cell, and what comes out of it: data alone, with every length checked. Imports no TensorFlow.

A parcel is a file: SHA-256 of all that follows (32 bytes), length of the header (8), the header as JSON, and the
arrays one after the other, as the header lists them.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from math import prod
from typing import BinaryIO, Final

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from service.engine.ports.overrides import Overrides
from service.keras.cell.limits import CellLimits
from service.keras.files.admission.limits import ModelFileLimits

_DIGEST_BYTES: Final = 32
_LENGTH_BYTES: Final = 8
_PART: Final = 2**20
# Keras 3 writes more of a layer than older ones did, and the weights' names stand beside it.
_HEADER_TIMES: Final = 8
# Of each number, by the name that Keras has for its type.
_ITEM_BYTES: Final = (
    dict.fromkeys(("bool", "int8", "uint8", "float8_e4m3fn", "float8_e5m2"), 1)
    | dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2)
    | dict.fromkeys(("int32", "uint32", "float32"), 4)
    | dict.fromkeys(("int64", "uint64", "float64"), 8)
)


class BrokenParcelError(Exception):
    """A parcel that is not as it has to be."""


class _Data(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class OpenFile(_Data):
    """A descriptor that the cell inherits, and the name that errors call the file by.

    `place` counts networks: of a preset all files are of one.
    """

    descriptor: int
    name: str
    size: int
    place: int
    is_of_preset: bool


class CellRequest(_Data):
    """The `files` of a network, and of its decoder, from the process `parent`; the parcel goes to `output`."""

    parent: int
    files: tuple[OpenFile, ...]
    output: int
    overrides: Overrides
    model_limits: ModelFileLimits
    cell_limits: CellLimits
    threads: int


class Weight(_Data):
    """`name` is that of its layer and its own: a Sequential's is there or not, by when it was built."""

    name: str
    shape: tuple[NonNegativeInt, ...] = Field(max_length=32)
    dtype: str

    @property
    def numbers(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        if self.dtype not in _ITEM_BYTES:
            raise BrokenParcelError(f"a weight has the type {self.dtype[:40]!r}")
        return self.numbers * _ITEM_BYTES[self.dtype]


class Contents(_Data):
    """A network: its configuration as JSON, its weights in order, and what is known of the file that it came from."""

    config: str
    weights: tuple[Weight, ...]
    repairs: tuple[str, ...] = ()
    latent_layer: str | None = None


class Refusal(_Data):
    """Why there is no network. `passing`: another time may be better, as memory or disk were short."""

    reason: str
    passing: bool


class _Header(_Data):
    contents: Contents | None = None
    refusal: Refusal | None = None


def write_parcel(stream: BinaryIO, result: Contents | Refusal, arrays: Iterable[bytes] = ()) -> None:
    """All but the digest, which the cell's parent makes."""
    header = _Header(contents=result) if isinstance(result, Contents) else _Header(refusal=result)
    text = header.model_dump_json().encode()
    stream.seek(_DIGEST_BYTES)
    stream.write(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
    stream.writelines(arrays)
    stream.flush()


def read_parcel(stream: BinaryIO, limits: ModelFileLimits) -> Contents | Refusal:
    """Leave the stream where the arrays begin. Raises BrokenParcelError."""
    size = os.fstat(stream.fileno()).st_size
    stream.seek(_DIGEST_BYTES)
    length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    rest = size - _DIGEST_BYTES - _LENGTH_BYTES - length
    if rest < 0 or length > _HEADER_TIMES * limits.config_bytes:
        raise BrokenParcelError(f"a header of {length} bytes in a file of {size}")
    try:
        header = _Header.model_validate_json(stream.read(length))
    except ValidationError as error:
        raise BrokenParcelError("the header is none") from error
    result = header.contents or header.refusal
    if result is None:
        raise BrokenParcelError("the header is empty")
    expected = sum(weight.bytes for weight in result.weights) if isinstance(result, Contents) else 0
    if rest != expected:
        raise BrokenParcelError(f"arrays of {rest} bytes, not of {expected}")
    return result


def read_arrays(stream: BinaryIO, contents: Contents) -> Iterator[tuple[Weight, bytes]]:
    """Each weight with its bytes. Raises BrokenParcelError where the file has become shorter."""
    for weight in contents.weights:
        array = stream.read(weight.bytes)
        if len(array) != weight.bytes:
            raise BrokenParcelError("the file ends within an array")
        yield weight, array


def seal(stream: BinaryIO) -> None:
    """Write the digest in front of the rest."""
    digest = _digest(stream)
    stream.seek(0)
    stream.write(digest)
    stream.flush()


def is_whole(stream: BinaryIO) -> bool:
    """Whether the rest is what the digest says."""
    stream.seek(0)
    return stream.read(_DIGEST_BYTES) == _digest(stream)


def _digest(stream: BinaryIO) -> bytes:
    stream.seek(_DIGEST_BYTES)
    digest = hashlib.sha256()
    while part := stream.read(_PART):
        digest.update(part)
    return digest.digest()
