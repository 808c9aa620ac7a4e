"""A decoded picture of any mode to upright 8-bit RGB, in strips: beside the two pictures little memory is taken."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import numpy as np
from PIL import ExifTags, Image

from service.engine.arrays import Pixels
from service.errors import ImageInvalidError

# Of one strip; what is converted at once takes some twenty times as many bytes.
_STRIP_PIXELS: Final = 2**20
_TRANSPARENT_MODES: Final = frozenset(("RGBA", "LA", "PA", "RGBa", "La"))
_SIXTEEN_BITS: Final = 0xFFFF
_WHITE: Final = 0xFF
_SIXTEEN_BIT_MODES: Final = frozenset(("I;16", "I;16B", "I;16L", "I;16N", "I"))

Convert = Callable[[Image.Image], Pixels]

# By EXIF orientation: where the pixels of an upright picture lie in the stored one.
_STORED: Final[dict[object, Callable[[Pixels], Pixels]]] = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: np.rot90,
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}
_TURNED: Final = (5, 6, 7, 8)


def to_upright_rgb(image: Image.Image) -> Pixels:
    """(h, w, 3) uint8 RGB, EXIF orientation applied, transparency laid on white. Raises ImageInvalidError."""
    convert = _choose(image)
    orientation = _read_orientation(image)
    width, height = image.size
    upright = np.empty((width, height, 3) if orientation in _TURNED else (height, width, 3), np.uint8)
    stored = _STORED[orientation](upright) if orientation in _STORED else upright
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        strip = image if rows >= height else image.crop((0, top, width, bottom))
        stored[top:bottom] = convert(strip)
    return upright


def _read_orientation(image: Image.Image) -> object:
    # Damaged EXIF raises anything at all, and the picture is fine without it.
    with suppress(Exception):
        orientation: object = image.getexif().get(ExifTags.Base.Orientation, 1)
        hash(orientation)
        return orientation
    return 1


def _choose(image: Image.Image) -> Convert:
    if image.mode in _SIXTEEN_BIT_MODES:
        return _from_sixteen_bits
    if image.mode == "F":
        raise ImageInvalidError("floating-point pixels have no agreed range: send 8 or 16 bits per channel")
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        return _lay_on_white
    return _to_rgb


def _to_rgb(strip: Image.Image) -> Pixels:
    return np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))


def _lay_on_white(strip: Image.Image) -> Pixels:
    strip = strip.convert("RGBA")
    white = Image.new("RGBA", strip.size, "white")
    return np.asarray(Image.alpha_composite(white, strip).convert("RGB"))


def _from_sixteen_bits(strip: Image.Image) -> Pixels:
    # Pillow's own conversion clips at 255 instead of scaling.
    values = np.asarray(strip)
    if values.dtype.itemsize > 2 and (values.min(initial=0) < 0 or values.max(initial=0) > _SIXTEEN_BITS):
        raise ImageInvalidError("32-bit pixels have no agreed range: send 8 or 16 bits per channel")
    # Rounded, as 257 is odd and no value lies in the middle.
    shades = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    # One value at most: Pillow would compare it with the eight bits that it clips these to.
    shades[values == strip.info.get("transparency", -1)] = _WHITE
    return shades[..., None]
