"""Colour of sixteen bits, of which Pillow keeps the upper eight: where those hold next to nothing, the lower ones too.

They are had by decoding the file once more as if its bytes were in the other order.
"""

import io
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.engine.arrays import Pixels
from service.engine.images.sample_range import SampleRange, Statement, find_range

# Upper bytes below this are those of fourteen bits, or fewer.
_FEW: Final = 2**6
_STRIP_PIXELS: Final = 2**18
# "N" is libtiff's, which gives numbers in the order of this machine.
_OTHER_ORDER: Final = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if np.little_endian else "L"))
}
_COLOURS: Final = 3

Box = tuple[int, int, int, int]


def is_colour_of_sixteen_bits(raw_mode: str | None) -> bool:
    """Whether a file of this raw mode can be read to the last bit."""
    return raw_mode in _OTHER_ORDER


def spread_colours(image: Image.Image, data: bytes, raw_mode: str | None, stated: Statement) -> SampleRange | None:
    """Draw a picture that was loaded from `data` over the range that it uses, in place; alpha stays as it is.

    None where that is sixteen bits, or the picture is another kind.
    """
    if raw_mode not in _OTHER_ORDER or _greatest(image) >= _FEW:
        return None
    with Image.open(io.BytesIO(data), formats=(image.format or "",)) as low:
        low.tile = [tile._replace(args=_swap(tile[3])) for tile in low.tile]
        transparent = low.info.get("transparency")
        low.load()
        samples = find_range((_join(image, low, box) for box in _strips(image)), None, stated)
        for box in _strips(image):
            pixels = np.array(image.crop(box))
            pixels[..., :_COLOURS] = _to_eight(_join(image, low, box), samples)
            image.paste(Image.fromarray(pixels, image.mode), box)
    if isinstance(transparent, tuple):
        image.info["transparency"] = tuple(_to_eight(np.array(transparent), samples).tolist())
    return samples


def _greatest(image: Image.Image) -> int:
    return max(int(band[1]) for band in image.getextrema()[:_COLOURS] if isinstance(band, tuple))


def _swap(stored: tuple[Any, ...] | str | None) -> tuple[Any, ...] | str:
    """The decoder's arguments, of which the raw mode is the first or the only one."""
    return (_OTHER_ORDER[stored[0]], *stored[1:]) if isinstance(stored, tuple) else _OTHER_ORDER[str(stored)]


def _strips(image: Image.Image) -> Iterator[Box]:
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(image.height, top + rows)


def _join(high: Image.Image, low: Image.Image, box: Box) -> NDArray[np.uint16]:
    """(h, w, 3) of one strip."""
    upper, lower = (np.asarray(picture.crop(box))[..., :_COLOURS] for picture in (high, low))
    return np.asarray((upper.astype(np.uint16) << 8) | lower, np.uint16)


def _to_eight(values: NDArray[np.integer], samples: SampleRange) -> Pixels:
    spread = (values.astype(np.uint32) * 255 + samples.maximum // 2) // samples.maximum
    return np.minimum(spread, 255).astype(np.uint8)
