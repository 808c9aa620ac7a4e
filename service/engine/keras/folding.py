"""Batch normalisation folded into the convolution before it, while a network is replayed; the network stays as it is.

In inference a normalisation is `x * scale + shift` per channel, and a convolution is linear: `conv(x, kernel * scale)
+ shift` gives the same in one pass over memory. It differs from the network's own order of rounding by about 1e-5.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from service.engine.keras.graph import Call, Hook, Site, Wiring, plainly
from service.engine.keras.landmarks import activation_of
from service.engine.keras.parts import Part
from service.engine.keras.scoring import first_tensor
from service.engine.probe import Array


@dataclass(frozen=True)
class _Pair:
    convolution: Call
    normalisation: Call

    @property
    def bytes(self) -> int:
        """Of the kernel."""
        return 4 * int(np.prod(self.convolution.operation.kernel.shape))


# As constants of the graph kernels are laid out once for the processor instead of at every call (with oneDNN, a
# MobileNetV2 takes a third of the time), but every trace has its own: larger networks, which gain little, share theirs.
MAX_CONSTANT_BYTES: Final = 16 * 2**20


class Folding:
    """What can be folded in one network. The folded kernels are made when first needed, and shared by all traces."""

    def __init__(self, wiring: Wiring) -> None:
        self.pairs = {pair.convolution.site: pair for pair in _find_pairs(wiring)}
        self._weights: dict[Site, tuple[Array, Array]] = {}
        # By the id of the weights, which stay.
        self._tensors: dict[int, Any] = {}
        self._lock = Lock()

    def operate(self, part: Part, otherwise: Hook = plainly) -> Hook:
        """A hook that folds what it can within the part. A convolution whose own output is wanted is left alone."""
        wanted = {value.call.site for value in part.wanted}
        folded = {
            site: pair
            for site, pair in self.pairs.items()
            if {site, pair.normalisation.site} <= part.calls and site not in wanted
        }
        normalisations = {pair.normalisation.site for pair in folded.values()}
        size = sum(pair.bytes for pair in folded.values())
        as_tensor = tf.constant if size <= MAX_CONSTANT_BYTES else self._captured

        def hook(here: Site, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if here in normalisations:
                return first_tensor(args, kwargs)
            if here not in folded:
                return otherwise(here, node, args, kwargs)
            kernel, shift = map(as_tensor, self._folded(folded[here]))
            layer = node.operation
            return tf.nn.bias_add(_CONVOLVE[type(layer)](layer, first_tensor(args, kwargs), kernel), shift)

        return hook

    def _folded(self, pair: _Pair) -> tuple[Array, Array]:
        site = pair.convolution.site
        with self._lock:
            if site not in self._weights:
                # Outside of the graph that is being traced, where variables have no numbers.
                with tf.init_scope():
                    self._weights[site] = _fold(pair)
            return self._weights[site]

    def _captured(self, values: Array) -> Any:
        """One tensor for all traces, which is no part of their graphs."""
        with self._lock, tf.init_scope():
            return self._tensors.setdefault(id(values), tf.constant(values))


def _find_pairs(wiring: Wiring) -> list[_Pair]:
    consumers = Counter(value for call in wiring.calls for value in call.inputs)
    consumers.update(wiring.outputs)
    shared = Counter(id(call.operation) for call in wiring.calls)
    pairs = []
    for call in wiring.calls:
        if not _is_plain_normalisation(call.operation) or len(call.inputs) != 1:
            continue
        value = call.inputs[0]
        if consumers[value] == 1 and _is_foldable(value.call.operation) and shared[id(value.call.operation)] == 1:
            pairs.append(_Pair(value.call, call))
    return pairs


def _is_plain_normalisation(operation: Any) -> bool:
    return (
        type(operation) is keras.layers.BatchNormalization
        and operation.axis in (-1, 3)
        and operation.compute_dtype == "float32"
    )


def _is_foldable(operation: Any) -> bool:
    return (
        type(operation) in _CONVOLVE
        and activation_of(operation) == "linear"
        and getattr(operation, "groups", 1) == 1
        and operation.data_format == "channels_last"
        and operation.compute_dtype == "float32"
        and getattr(operation, "quantization_mode", None) is None
        and len(set(operation.strides)) == 1
        # TensorFlow's gradient of a convolution that is both is not to be had on every device.
        and (set(operation.strides) == {1} or set(operation.dilation_rate) == {1})
    )


def _fold(pair: _Pair) -> tuple[Array, Array]:
    """The kernel and the shift, float32, computed in float64."""
    layer, norm = pair.convolution.operation, pair.normalisation.operation
    variance, mean = (np.asarray(weight, np.float64) for weight in (norm.moving_variance, norm.moving_mean))
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.gamma is not None:
        scale = scale * np.asarray(norm.gamma, np.float64)
    shift = -mean * scale
    if norm.beta is not None:
        shift = shift + np.asarray(norm.beta, np.float64)
    if layer.bias is not None:
        shift = shift + np.asarray(layer.bias, np.float64) * scale
    kernel = np.asarray(layer.kernel, np.float64)
    kernel = kernel * scale.reshape(kernel.shape[2:] if isinstance(layer, keras.layers.DepthwiseConv2D) else (-1,))
    return kernel.astype(np.float32), shift.astype(np.float32)


def _convolve(layer: Any, inputs: Any, kernel: Any) -> Any:
    # As Keras calls it: a dilated `conv2d` has no gradient on the CPU.
    return tf.nn.convolution(inputs, kernel, layer.strides, layer.padding.upper(), dilations=layer.dilation_rate)


def _convolve_depthwise(layer: Any, inputs: Any, kernel: Any) -> Any:
    strides = (1, *layer.strides, 1)
    return tf.nn.depthwise_conv2d(inputs, kernel, strides, layer.padding.upper(), dilations=layer.dilation_rate)


_CONVOLVE: Final[dict[type, Callable[[Any, Any, Any], Any]]] = {
    keras.layers.Conv2D: _convolve,
    keras.layers.DepthwiseConv2D: _convolve_depthwise,
}
