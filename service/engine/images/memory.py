"""How much memory a picture takes while it is decoded and drawn over, by its header. Decodes nothing."""

from typing import Final

from PIL import Image

from service.engine.images.colour_range import is_colour_of_sixteen_bits
from service.engine.images.transparent_value import find_raw_mode

# Bytes that Pillow keeps of a pixel; of the modes that are not listed, 4.
_KEPT: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
# What decoders keep beside that until they have finished: canvases, and whole pictures as bytes.
_DECODER: Final = {"WEBP": 12, "AVIF": 10, "TIFF": 8, "BMP": 4}
# A JPEG of several scans: coefficients of two bytes, for each of its components.
_COEFFICIENTS: Final = 2
_PICTURE: Final = 3
# The most that is made of a picture at its own size once it is decoded: a heat map's numbers, shades, colours, overlay
# and what its PNG is made of.
_DRAWN: Final = 12
# The strip that is being converted.
_STRIP_PIXELS: Final = 2**20
_STRIP: Final = 32

_TILE_WIDTH, _TILE_LENGTH = 322, 323


def estimate_bytes(image: Image.Image, scans: int = 1, *, drawn: bool = False) -> int:
    """For a picture that has been opened and not loaded; `scans` are those of a JPEG."""
    kept = _KEPT.get(image.mode, 4)
    if is_colour_of_sixteen_bits(find_raw_mode(image)):
        # It may be decoded twice.
        kept *= 2
    decoder = _DECODER.get(image.format or "", 0)
    if scans > 1:
        decoder = _COEFFICIENTS * len(image.getbands())
    each = max(kept + max(decoder, _PICTURE), _PICTURE + _DRAWN * drawn)
    pixels = image.width * image.height
    return pixels * each + min(pixels, _STRIP_PIXELS) * _STRIP + tile_pixels(image) * kept


def tile_pixels(image: Image.Image) -> int:
    """Of one tile of a TIFF, however small the picture is that it is cut from; 0 where there are none."""
    tags = getattr(image, "tag_v2", None) or {}
    width, length = tags.get(_TILE_WIDTH), tags.get(_TILE_LENGTH)
    return width * length if isinstance(width, int) and isinstance(length, int) else 0
