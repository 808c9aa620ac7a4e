"""From 0…255 RGB to a network's own units."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ChannelOrder = Literal["rgb", "bgr"]


@dataclass(frozen=True)
class Preprocessing:
    """Per-channel affine map from 0…255 RGB to the network's own units: `x * scale + offset`, then channel order.

    `scale` and `offset` have one number per channel, in RGB order, or a single one for all.
    """

    name: str
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    channel_order: ChannelOrder = "rgb"

    @property
    def fits_gray(self) -> bool:
        """False where the three channels are treated differently."""
        return len(set(self.scale)) == len(set(self.offset)) == 1

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(h, w, c) uint8 RGB or gray to (h, w, c) float32 in the network's units."""
        height, width, channels = pixels.shape
        if self.channel_order == "bgr" and channels == 3:
            pixels = np.take(pixels, (2, 1, 0), axis=-1)
        # Rows of numbers: NumPy takes several times as long over pixels of three.
        values = np.asarray(pixels.reshape(height, -1) * self._along(self.scale, width, channels), np.float32)
        values += self._along(self.offset, width, channels)
        return values.reshape(height, width, channels)

    def _along(self, numbers: tuple[float, ...], width: int, channels: int) -> NDArray[np.float32] | np.float32:
        """One number for all that is in a row, or one for each, in the network's order of channels."""
        if len(set(numbers)) == 1:
            return np.float32(numbers[0])
        of_pixel = numbers[:channels]
        return np.tile(np.asarray(of_pixel[::-1] if self.channel_order == "bgr" else of_pixel, np.float32), width)

    def undo(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., h, w, c) in the network's units back to 0…1 RGB or gray, not clipped."""
        channels = values.shape[-1]
        if self.channel_order == "bgr":
            values = values[..., ::-1]
        pixels = (values - np.asarray(self.offset[:channels], np.float32)) / np.asarray(
            self.scale[:channels], np.float32
        )
        return np.asarray(pixels / np.float32(255), np.float32)

    @property
    def span(self) -> float:
        """From black to white in the network's units; of several channels the greatest."""
        return 255 * max(map(abs, self.scale))
