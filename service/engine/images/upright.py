"""A decoded picture of any mode to upright 8-bit RGB, in strips: beside the two pictures little memory is taken."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

import numpy as np
from PIL import ExifTags, Image

from service.engine.arrays import Pixels
from service.engine.images.sample_range import NOTHING_STATED, SampleRange, Statement, find_range
from service.errors import ImageInvalidError

# Of one strip; what is converted at once takes some twenty times as many bytes.
_STRIP_PIXELS: Final = 2**20
_TRANSPARENT_MODES: Final = frozenset(("RGBA", "LA", "PA", "RGBa", "La"))
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


def to_upright_rgb(image: Image.Image, samples: SampleRange | None = None) -> Pixels:
    """(h, w, 3) uint8 RGB, EXIF orientation applied, transparency laid on white. Raises ImageInvalidError."""
    convert = _choose(image, samples)
    orientation = _read_orientation(image)
    width, height = image.size
    upright = np.empty((width, height, 3) if orientation in _TURNED else (height, width, 3), np.uint8)
    stored = _STORED[orientation](upright) if orientation in _STORED else upright
    top = 0
    for strip in _cut(image):
        stored[top : top + strip.height] = convert(strip)
        top += strip.height
    return upright


def read_range(image: Image.Image, stated: Statement = NOTHING_STATED) -> SampleRange | None:
    """Of gray of sixteen bits, by the whole picture; None of all others. Raises ImageInvalidError."""
    if image.mode not in _SIXTEEN_BIT_MODES:
        return None
    return find_range(map(np.asarray, _cut(image)), image.info.get("transparency"), stated)


def _cut(image: Image.Image) -> Iterator[Image.Image]:
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    if rows >= height:
        yield image
        return
    for top in range(0, height, rows):
        yield image.crop((0, top, width, min(height, top + rows)))


def _read_orientation(image: Image.Image) -> object:
    # Damaged EXIF raises anything at all, and the picture is fine without it.
    with suppress(Exception):
        orientation: object = image.getexif().get(ExifTags.Base.Orientation, 1)
        hash(orientation)
        return orientation
    return 1


def _choose(image: Image.Image, samples: SampleRange | None) -> Convert:
    own = samples if image.mode in _SIXTEEN_BIT_MODES and samples is not None else read_range(image)
    if own is not None:
        return partial(_from_sixteen_bits, own)
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


def _from_sixteen_bits(samples: SampleRange, strip: Image.Image) -> Pixels:
    # Pillow's own conversion clips at 255 instead of scaling.
    values = np.asarray(strip)
    # Rounded: a transparent value that is beyond the range is white all the same.
    shades = np.minimum((values.astype(np.uint32) * _WHITE + samples.maximum // 2) // samples.maximum, _WHITE)
    shades = (_WHITE - shades if samples.white_is_zero else shades).astype(np.uint8)
    # One value at most: Pillow would compare it with the eight bits that it clips these to.
    shades[values == strip.info.get("transparency", -1)] = _WHITE
    return shades[..., None]
