"""What the channels of a layer answer to many pictures, added up batch by batch and kept slice by slice."""

from typing import Final

import numpy as np

from service.engine.kinds.packing import Chunk, PackedDoubles, PackedFloats
from service.engine.ports.answers import ChannelStatistics
from service.engine.ports.network_info import LayerInfo

# Numbers that stand for all answers of one channel.
SKETCH_SIZE: Final = 16
_SUMS: Final = ("mean", "zeros", "fires")


class LayerTotal(Chunk):
    """Of one layer over the pictures of a slice: sums (3, c) as in _SUMS, extremes (2, c), sketches added up (k, c)."""

    layer: str
    read_at: str | None
    type: str
    positions: int
    images: int
    sums: PackedDoubles
    extremes: PackedDoubles
    sketch: PackedFloats


class Total:
    """Of one layer: sums over pictures, and the extremes."""

    def __init__(self, statistics: ChannelStatistics) -> None:
        channels = statistics.mean.shape[1]
        self.positions = statistics.positions
        self.images = 0
        self.sums = np.zeros((len(_SUMS), channels))
        self.greatest = np.full(channels, -np.inf)
        self.least = np.full(channels, np.inf)
        self.sketch = np.zeros((SKETCH_SIZE, channels))

    def add(self, statistics: ChannelStatistics) -> None:
        """Take a batch in."""
        self.images += len(statistics.mean)
        fires = (statistics.greatest > 0).astype(np.float64)
        self.sums += np.stack(
            [each.sum(axis=0, dtype=np.float64) for each in (statistics.mean, statistics.zeros, fires)]
        )
        self.greatest = np.maximum(self.greatest, statistics.greatest.max(axis=0))
        self.least = np.minimum(self.least, statistics.least.min(axis=0))
        self.sketch += statistics.sketch

    def pack(self, layer: LayerInfo) -> LayerTotal:
        return LayerTotal(
            layer=layer.path,
            read_at=layer.response,
            type=layer.type,
            positions=self.positions,
            images=self.images,
            sums=self.sums,
            extremes=np.stack([self.greatest, self.least]),
            sketch=self.sketch.astype(np.float32),
        )
