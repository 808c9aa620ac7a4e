"""Convolutions with constant kernels, and the batch normalisation after them folded in, while a network is replayed.

The network stays as it is. As constants of the graph kernels are laid out for the processor once instead of at every
call, which on oneDNN takes a quarter to a half of the time away; but every graph has its own.

In inference a normalisation is `x * scale + shift` per channel, and a convolution is linear: `conv(x, kernel * scale)
+ shift` gives the same in one pass over memory. It differs from the network's own order of rounding by about 1e-5.

Zeros that a layer of its own puts around the maps are left to the convolution where they are those of "same" padding.
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import keras
import numpy as np
import tensorflow as tf

from service.engine.arrays import Array
from service.keras.compute.scoring import first_tensor
from service.keras.graph.head import activation_of
from service.keras.graph.replay import Call, Hook, Node, Site, Wiring, plainly
from service.keras.graph.subgraph import Subgraph


class Folding:
    """What can be fixed and folded in one network."""

    def __init__(self, wiring: Wiring) -> None:
        self.fixable = {call.site: call for call in wiring.calls if _is_fixable(call.operation)}
        # By the convolution's site the call of the normalisation after it, and of the padding before it.
        self.pairs = _find_pairs(wiring)
        self.paddings = _find_paddings(wiring)

    def apply(
        self, part: Subgraph, *, max_bytes: int, spared: AbstractSet[Site] = frozenset(), normalisation: bool = True
    ) -> "Folded":
        """What of it is done in a part: nothing at all where its kernels take more than `max_bytes`.

        `spared` are calls to be left as they are. A normalisation is not folded where the convolution's own output is
        wanted, or at all with `normalisation` False.
        """
        fixed = {site for site in self.fixable if site in part.calls and site not in spared}
        size = sum(_count_bytes(self.fixable[site].operation) for site in fixed)
        if size > max_bytes:
            return UNFOLDED
        wanted = {value.call.site for value in part.wanted}
        pairs = {
            site: after
            for site, after in self.pairs.items()
            if normalisation and site in fixed - wanted and after.site in part.calls - spared
        }
        paddings = {
            site: self.paddings[site].site
            for site in fixed & self.paddings.keys()
            if self.paddings[site].site in part.calls - spared - wanted
        }
        return Folded(frozenset(fixed), pairs, paddings, size)


@dataclass(frozen=True)
class Folded:
    """Of a part the convolutions that are fixed, with their `bytes`, and what is folded into them."""

    fixed: frozenset[Site]
    pairs: dict[Site, Call]
    paddings: dict[Site, Site]
    bytes: int

    def operate(self, otherwise: Hook = plainly) -> Hook:
        """A hook that computes them so, and all else `otherwise`."""
        folded = {*(after.site for after in self.pairs.values()), *self.paddings.values()}

        def hook(here: Site, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
            if here in folded:
                return first_tensor(args, kwargs)
            if here not in self.fixed:
                return otherwise(here, node, args, kwargs)
            layer, after = node.operation, self.pairs.get(here)
            # Outside of the graph that is being traced, where variables have no numbers.
            with tf.init_scope():
                kernel, shift = _take(layer) if after is None else _fold(layer, after.operation)
            padding = "SAME" if here in self.paddings else layer.padding.upper()
            maps = _CONVOLVE[type(layer)](layer, first_tensor(args, kwargs), tf.constant(kernel), padding)
            if shift is not None:
                maps = tf.nn.bias_add(maps, tf.constant(shift))
            return maps if layer.activation is None else layer.activation(maps)

        return hook


UNFOLDED: Final = Folded(frozenset(), {}, {}, 0)


def _find_pairs(wiring: Wiring) -> dict[Site, Call]:
    consumers = Counter(value for call in wiring.calls for value in call.inputs)
    consumers.update(wiring.outputs)
    shared = Counter(id(call.operation) for call in wiring.calls)
    pairs = {}
    for call in wiring.calls:
        if not _is_plain_normalisation(call.operation) or len(call.inputs) != 1:
            continue
        value = call.inputs[0]
        layer = value.call.operation
        is_foldable = _is_fixable(layer) and activation_of(layer) == "linear" and shared[id(layer)] == 1
        if is_foldable and consumers[value] == 1:
            pairs[value.call.site] = call
    return pairs


def _find_paddings(wiring: Wiring) -> dict[Site, Call]:
    consumers = Counter(value for call in wiring.calls for value in call.inputs)
    consumers.update(wiring.outputs)
    paddings = {}
    for call in wiring.calls:
        if not _is_fixable(call.operation) or call.operation.padding != "valid":
            continue
        value = call.inputs[0]
        if (
            type(value.call.operation) is keras.layers.ZeroPadding2D
            and consumers[value] == 1
            and _is_same(value.call, call.operation)
        ):
            paddings[call.site] = value.call
    return paddings


def _is_same(padding: Call, layer: keras.Layer) -> bool:
    """Whether "same" padding of the convolution would put the same zeros around the maps."""
    sizes = [size for size in padding.inputs[0].shape[1:3] if size is not None]
    if padding.operation.data_format != "channels_last" or len(sizes) != 2:
        return False
    given = [tuple(sides) for sides in padding.operation.padding]
    return given == [_same(size, layer, axis) for axis, size in enumerate(sizes)]


def _same(size: int, layer: keras.Layer, axis: int) -> tuple[int, int]:
    stride, reach = layer.strides[axis], (layer.kernel_size[axis] - 1) * layer.dilation_rate[axis]
    zeros = max((-(-size // stride) - 1) * stride + reach + 1 - size, 0)
    return zeros // 2, zeros - zeros // 2


def _is_plain_normalisation(operation: keras.Operation) -> bool:
    return (
        type(operation) is keras.layers.BatchNormalization
        and operation.axis in (-1, 3)
        and operation.compute_dtype == "float32"
    )


def _is_fixable(operation: keras.Operation) -> bool:
    return (
        type(operation) in _CONVOLVE
        and getattr(operation, "groups", 1) == 1
        and operation.data_format == "channels_last"
        and operation.compute_dtype == "float32"
        and getattr(operation, "quantization_mode", None) is None
        and len(set(operation.strides)) == 1
        # TensorFlow's gradient of a convolution that is both is not to be had on every device.
        and (set(operation.strides) == {1} or set(operation.dilation_rate) == {1})
    )


def _count_bytes(layer: keras.Layer) -> int:
    return 4 * int(np.prod(layer.kernel.shape))


def _take(layer: keras.Layer) -> tuple[Array, Array | None]:
    """The kernel and the bias as they are, float32."""
    return np.asarray(layer.kernel), None if layer.bias is None else np.asarray(layer.bias)


def _fold(layer: keras.Layer, norm: keras.layers.BatchNormalization) -> tuple[Array, Array]:
    """The kernel and the shift, float32, computed in float64."""
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


def _convolve(layer: keras.Layer, inputs: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
    # As Keras calls it: a dilated `conv2d` has no gradient on the CPU.
    return tf.nn.convolution(inputs, kernel, layer.strides, padding, dilations=layer.dilation_rate)


def _convolve_depthwise(layer: keras.Layer, inputs: tf.Tensor, kernel: tf.Tensor, padding: str) -> tf.Tensor:
    strides = (1, *layer.strides, 1)
    return tf.nn.depthwise_conv2d(inputs, kernel, strides, padding, dilations=layer.dilation_rate)


_CONVOLVE: Final[dict[type[keras.Layer], Callable[[keras.Layer, tf.Tensor, tf.Tensor, str], tf.Tensor]]] = {
    keras.layers.Conv2D: _convolve,
    keras.layers.DepthwiseConv2D: _convolve_depthwise,
}
