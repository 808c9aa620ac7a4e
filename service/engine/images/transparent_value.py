"""The one value or colour that a PNG calls transparent, in the units of the pixels that Pillow makes of it."""

from typing import Final

from PIL import Image

# Gray of fewer bits is spread over 0…255, while the value stays in the file's own units; of 16 bits in colour Pillow
# keeps the upper eight alone, so that colours which differ below them are as transparent.
_SPREAD: Final = {"L;2": 85, "L;4": 17}
_UPPER_BYTE: Final = "RGB;16B"


def mend_transparent_value(image: Image.Image) -> None:
    """For a picture that has been opened and not loaded: later nothing says how its pixels were stored."""
    value = image.info.get("transparency")
    stored = find_raw_mode(image)
    if stored in _SPREAD and isinstance(value, int):
        image.info["transparency"] = value * _SPREAD[stored]
    if stored == _UPPER_BYTE and isinstance(value, tuple):
        image.info["transparency"] = tuple(number >> 8 for number in value)


def find_raw_mode(image: Image.Image) -> str | None:
    """How the pixels of a picture that is not yet loaded are stored, in Pillow's words; None where it does not say."""
    tiles = getattr(image, "tile", None)
    if not tiles:
        return None
    stored = tiles[0][3]
    first = stored[0] if isinstance(stored, tuple) and stored else stored
    return first if isinstance(first, str) else None
