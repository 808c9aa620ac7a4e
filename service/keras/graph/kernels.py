"""A layer's kernels with their axes in one order: (h, w, inputs, filters)."""

from collections.abc import Iterator

import keras
import numpy as np

from service.engine.arrays import Array
from service.engine.ports.answers import Kernel

# As Keras names them; a separable convolution has the last two.
NAMES = ("kernel", "depthwise_kernel", "pointwise_kernel")


def read_kernels(path: str, layer: keras.Operation) -> Iterator[Kernel]:
    """The layer's kernels that can be drawn; none for a layer without weights, or with kernels of other ranks."""
    for name in NAMES:
        weight = getattr(layer, name, None)
        if weight is None:
            continue
        values = _in_order(np.asarray(weight, np.float32), name, layer)
        if values is not None:
            yield Kernel(path, name, values)


def _in_order(values: Array, name: str, layer: keras.Operation) -> Array | None:
    if values.ndim == 2:
        return values[None, None]
    if values.ndim == 3:
        values = values[None]
    if values.ndim != 4:
        return None
    if isinstance(layer, keras.layers.Conv2DTranspose | keras.layers.Conv1DTranspose):
        return values.swapaxes(2, 3)
    if name == "depthwise_kernel" or isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.DepthwiseConv1D):
        # Every filter sees one channel: (h, w, channels, multiplier) holds channels * multiplier of them.
        return values.reshape(*values.shape[:2], 1, -1)
    return values
