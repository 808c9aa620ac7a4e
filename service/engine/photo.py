"""One picture as a model takes it: decoded, and brought to the network's size. Knows no methods."""

from dataclasses import dataclass
from typing import Any

from service.engine.allowance import FREE, Allowance
from service.engine.arrays import Pixels
from service.engine.images.decoding import Decoded, ImageLimits, fit_into, read_picture
from service.engine.images.framing import Framing, frame
from service.engine.images.sample_range import SampleRange
from service.engine.model import Model

# The longer side that a picture keeps where neither the network nor model.toml fixes a size.
MAX_OPEN_SIDE = 512


@dataclass(frozen=True)
class Photo:
    """The picture upright at its own size, and as it enters preprocessing, both (h, w, c) uint8; and how it came so.

    `samples` where it is gray of sixteen bits.
    """

    picture: Pixels
    seen: Pixels
    framing: Framing
    samples: SampleRange | None = None


def see(model: Model, image: bytes, limits: ImageLimits, allowance: Allowance = FREE, *, drawn: bool = False) -> Photo:
    """Decode a picture, and fit it to the network; `drawn` where it is drawn over. Raises what decoding raises."""
    # All that is needed at once: who held some and waited for more would be waited for.
    decoded = read_picture(image, limits, allowance.reserve, drawn=drawn, bits=model.sample_bits)
    allowance.check()
    return _frame(model, decoded)


def _frame(model: Model, decoded: Decoded) -> Photo:
    """The picture, and what the network sees of it, at its input size. A network of any size sees all of it."""
    shape = model.network_info.input_shape
    assert shape is not None, "refuse() lets only networks with an image input through"
    height, width, channels = shape
    picture = decoded.pixels
    size = (picture.shape[0], picture.shape[1])
    open_height, open_width = model.input_size or _shrink(*size)
    takes_all = height is None and width is None and model.input_size is None
    framing = frame("stretch" if takes_all else model.fit, size, (height or open_height, width or open_width))
    return Photo(picture, fit_into(picture, framing, channels), framing, decoded.samples)


def _shrink(height: int, width: int) -> tuple[int, int]:
    factor = min(1.0, MAX_OPEN_SIDE / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def describe_range(samples: SampleRange) -> dict[str, Any]:
    return {"bits": samples.bits, "maximum": samples.maximum, "sure": samples.sure}
