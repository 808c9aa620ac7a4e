"""A picture as a model takes it: decoded, and brought to the network's size. Knows no methods."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Final

from schemas.values.datasets import SampleRange
from service.engine.allowance import FREE, Allowance
from service.engine.images import sample_range
from service.engine.images.decoding import Decoded, ImageLimits, fit_into, read_picture
from service.engine.images.framing import frame
from service.engine.images.photo import ImageFile, Photo
from service.engine.model import Model

# The longer side that a picture keeps where neither the network nor model.toml fixes a size.
MAX_OPEN_SIDE = 512
# Of decoded pictures that several versions of a model look at: some hundred photos.
_KEPT_BYTES: Final = 2**28


class KeptPictures:
    """Decoded pictures for several versions of a model, which see the same ones; bounded in bytes, for any thread."""

    def __init__(self, max_bytes: int = _KEPT_BYTES) -> None:
        self._free = max_bytes
        self._lock = Lock()
        self._kept: dict[Hashable, Decoded] = {}

    def find(self, key: Hashable, decode: Callable[[], Decoded]) -> Decoded:
        """What is kept under the key, else what `decode` gives; kept as long as there is room."""
        with self._lock:
            if key in self._kept:
                return self._kept[key]
        decoded = decode()
        with self._lock:
            if key not in self._kept and decoded.pixels.nbytes <= self._free:
                self._free -= decoded.pixels.nbytes
                self._kept[key] = decoded
        return decoded


@dataclass(frozen=True)
class Decoding:
    """What decoding may take. Without `kept` each time anew: a picture is large, and let go of once it is drawn."""

    limits: ImageLimits
    allowance: Allowance = FREE
    kept: KeptPictures | None = None

    def decode(self, image: ImageFile, *, drawn: bool, bits: int | None) -> Decoded:
        """A picture, of sixteen bits by so many `bits`; `drawn` where it is drawn over. Raises what decoding raises."""

        def decode() -> Decoded:
            # All that is needed at once: who held some and waited for more would be waited for.
            return read_picture(image.data, self.limits, self.allowance.reserve, drawn=drawn, bits=bits)

        decoded = decode() if self.kept is None else self.kept.find((image.sha256, drawn, bits), decode)
        self.allowance.check()
        return decoded


def see(model: Model, image: ImageFile, decoding: Decoding, *, drawn: bool = False) -> Photo:
    """Decode a picture, and fit it to the network; `drawn` where it is drawn over. Raises what decoding raises."""
    return _frame(model, decoding.decode(image, drawn=drawn, bits=model.sample_bits))


def describe_range(samples: sample_range.SampleRange) -> SampleRange:
    """As a result tells it."""
    return SampleRange(bits=samples.bits, maximum=samples.maximum, sure=samples.sure)


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
