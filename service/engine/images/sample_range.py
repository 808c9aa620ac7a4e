"""How far the numbers of a picture of sixteen bits reach: cameras and scanners often fill 10, 12 or 14 of them.

A file that says so is believed: BitsPerSample of a TIFF, its MaxSampleValue where that is a whole number of bits (other
numbers are statistics), and sBIT of a PNG, which tells whether its numbers were spread over sixteen bits. Of others the
greatest value decides, the least of 8, 10, 12, 14 and 16 bits that holds it; that is found, not known, and is told.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.errors import ImageInvalidError

_ALL: Final = 16
_BITS: Final = (8, 10, 12, 14, _ALL)
_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE_VALUE = 258, 262, 281
_WHITE_IS_ZERO: Final = 0
_PNG: Final = b"\x89PNG\r\n\x1a\n"

Sure = Literal["stated", "found"]


@dataclass(frozen=True)
class Statement:
    """What a file says: `bits` of its numbers, `significant` bits that they had before, and which end is white."""

    bits: int | None = None
    significant: int | None = None
    white_is_zero: bool = False


NOTHING_STATED: Final = Statement()


@dataclass(frozen=True)
class SampleRange:
    """From 0 to `maximum`, black to white, or white to black. `sure` says whether the file says it."""

    bits: int
    sure: Sure
    white_is_zero: bool = False

    @property
    def maximum(self) -> int:
        return int(2**self.bits - 1)

    @property
    def is_brightened(self) -> bool:
        """Whether the picture is drawn brighter than sixteen bits are, and nobody said so."""
        return self.sure == "found" and self.bits < _ALL


def read_statement(image: Image.Image, data: bytes, known: int | None = None) -> Statement:
    """What a file says of its numbers, but for the bits that are `known`.

    `image` is opened from `data`, and need not be loaded.
    """
    if image.format == "PNG":
        return Statement(known, _read_significant_bits(data))
    tags = getattr(image, "tag_v2", None) or {}
    bits = _first(tags.get(_BITS_PER_SAMPLE))
    most = _first(tags.get(_MAX_SAMPLE_VALUE))
    if bits is None or not 8 < bits < _ALL:
        bits = (most + 1).bit_length() - 1 if most is not None and most + 1 in {2**count for count in _BITS} else None
    return Statement(known or bits, white_is_zero=tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def find_range(strips: Iterable[NDArray[np.integer]], transparent: object, stated: Statement) -> SampleRange:
    """The range of a picture, by all of its strips; its transparent value counts for nothing.

    Raises ImageInvalidError where a number is negative or over 65,535.
    """
    greatest = in_any = 0
    for values in strips:
        if values.dtype.itemsize > 2 and (values.min(initial=0) < 0 or values.max(initial=0) >= 2**_ALL):
            raise ImageInvalidError("32-bit pixels have no agreed range: send 8 or 16 bits per channel")
        shown = values[values != transparent] if isinstance(transparent, int) else values
        greatest = max(greatest, int(shown.max(initial=0)))
        in_any |= int(np.bitwise_or.reduce(shown, axis=None, initial=0))
    bits, sure = _decide(greatest, in_any, stated)
    return SampleRange(bits, sure, stated.white_is_zero)


def _decide(greatest: int, in_any: int, stated: Statement) -> tuple[int, Sure]:
    """`in_any` has the bits that are set in any value. A statement that a value goes beyond is none."""
    if stated.bits is not None and greatest < 2**stated.bits:
        return stated.bits, "stated"
    if stated.significant is not None:
        # Spread over sixteen bits, as PNG wants it, small numbers are whole steps of the wider range.
        is_spread = greatest >= 2**stated.significant or not in_any % 2 ** (_ALL - stated.significant)
        return (_ALL if is_spread else stated.significant), "stated"
    if not greatest:
        return _ALL, "found"
    return next(bits for bits in _BITS if greatest < 2**bits), "found"


def _read_significant_bits(data: bytes) -> int | None:
    """The most of a PNG's sBIT, which stands before the pixels; None where there is none or it says nothing."""
    place = len(_PNG)
    while place + 8 < len(data):
        length, name = struct.unpack_from(">L4s", data, place)
        if name == b"sBIT":
            # Of colour there are three; alpha comes last.
            bits = max(data[place + 8 : place + 8 + min(length, 3)], default=0)
            return bits if 8 <= bits <= _ALL else None
        if name == b"IDAT":
            break
        place += 12 + length
    return None


def _first(value: object) -> int | None:
    if isinstance(value, tuple) and value:
        value = value[0]
    return value if isinstance(value, int) else None
