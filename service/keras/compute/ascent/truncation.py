"""The part of a network that one layer depends on: its output, and the same as if its last activation let all through.

Nothing beyond the layer is touched, so that a picture may have a size which the network's end could not take. Where
that is cheaper, each image is given one filter of the layer alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf
from keras import tree

from service.keras.compute.ascent import one_filter
from service.keras.compute.folding import UNFOLDED, Folding
from service.keras.compute.scoring import first_tensor, preactivation
from service.keras.graph.axes.kinds import kind_of
from service.keras.graph.head import activation_of
from service.keras.graph.replay import Call, Node, Site, Wiring, graph_of, infer, replay
from service.keras.graph.subgraph import find_subgraph
from service.keras.graph.upright import turn

FUSED = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
# Layers, and operations of keras.ops by their class names, that do nothing but activate.
_ACTIVATIONS = {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Relu", "Relu6", "LeakyRelu", "Elu"} | {
    "Gelu", "Silu", "Selu", "Sigmoid", "Softplus", "Softsign", "Tanh", "HardSigmoid", "HardSilu", "HardTanh", "Mish"
}  # fmt: skip
# What an activation's output may go through, channel by channel, and still be that activation's.
_PASSING_ON = {"Concatenate", "Dropout", "SpatialDropout2D", "Identity", "BatchNormalization", "ZeroPadding2D"} | {
    "MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D", "UpSampling2D", "Cropping2D"
}  # fmt: skip
_ABSENT = object()


@dataclass(frozen=True)
class Truncated:
    """A layer's `output`, and `unactivated`, the same without the activation that comes last, both upright.

    `sources` are the tensors before that activation: several where a layer puts branches together. Without an
    activation `unactivated` is the output, which is its own source.
    """

    output: tf.Tensor
    unactivated: tf.Tensor
    sources: list[tf.Tensor]


@dataclass(frozen=True)
class Truncation:
    """`compute(images, picked)` gives what the layer makes of a batch of images.

    With `picked`, which `pick(filters)` gives where the truncation is `narrow`, the last axis holds of each image its
    own filter alone; without, and where pick gives None, all filters.
    """

    compute: Callable[[tf.Tensor, one_filter.Picked | None], Truncated]
    pick: Callable[[tf.Tensor], one_filter.Picked | None]
    narrow: bool
    bytes: int


def truncate(
    network: keras.Model, wiring: Wiring, call: Call, folding: Folding | None = None, max_bytes: int = 0
) -> Truncation:
    """The part of the network that ends with a call of a layer.

    With `folding` it may hold kernels, of `bytes` in all and no more than `max_bytes`. Normalisation is computed as it
    is: over many steps the difference, which is that of rounding, would add up.
    """
    part = find_subgraph(wiring.inputs, call.outputs[:1])
    tail = _tail(call)
    folded = folding.apply(part, max_bytes=max_bytes, spared=tail, normalisation=False) if folding else UNFOLDED
    operate = folded.operate()
    narrow = one_filter.is_worthwhile(call.operation)

    def compute(images: tf.Tensor, picked: one_filter.Picked | None) -> Truncated:
        # By id of a tensor of the tail, which stays alive in there.
        made: dict[int, Truncated] = {}

        def hook(here: Site, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
            if here not in part.calls:
                return [_ABSENT] * len(node.outputs)
            if here not in tail:
                return operate(here, node, args, kwargs)
            if picked is None:
                found = _split(node, args, kwargs, made)
            else:
                # Such a layer is its whole tail.
                found = _activate(
                    node.operation, one_filter.compute(node.operation, first_tensor(args, kwargs), picked)
                )
            made[id(found.output)] = made[0] = found
            return found.output

        replay(network, [_enter(images, graph_of(network).inputs[0].dtype)], hook)
        # The layer itself comes last of its ancestors. One that is narrow lies as it should.
        found = made[0]
        if picked is not None:
            return found
        output, unactivated = (turn(call.outputs[0], tensor) for tensor in (found.output, found.unactivated))
        return Truncated(output, unactivated, found.sources)

    def pick(filters: tf.Tensor) -> one_filter.Picked | None:
        return one_filter.pick(call.operation, filters) if narrow else None

    return Truncation(compute, pick, narrow, folded.bytes)


def _enter(images: tf.Tensor, dtype: str) -> tf.Tensor:
    """Pictures as the network takes them; where those are whole numbers, as they are: a gradient ends at rounding."""
    return images if tf.as_dtype(dtype).is_integer else tf.cast(images, dtype)


def _tail(call: Call) -> set[Site]:
    """The layer, and where it only passes on what others made, those too."""
    tail: set[Site] = set()
    waiting = [call]
    while waiting:
        current = waiting.pop()
        if current.site not in tail and not current.is_input:
            tail.add(current.site)
            if kind_of(current.operation) in _PASSING_ON:
                waiting += [value.call for value in current.inputs]
    return tail


def _activate(layer: keras.Layer, before: tf.Tensor) -> Truncated:
    output = before if layer.activation is None else layer.activation(before)
    return Truncated(output, before, [before])


def _split(node: Node, args: tuple[object, ...], kwargs: dict[str, object], made: dict[int, Truncated]) -> Truncated:
    operation = node.operation
    if isinstance(operation, FUSED) and activation_of(operation) != "linear":
        return _activate(operation, preactivation(operation, first_tensor(args, kwargs)))
    output = tree.flatten(infer(node, args, kwargs))[0]
    if kind_of(operation) in _ACTIVATIONS:
        before = first_tensor(args, kwargs)
        return Truncated(output, before, [before])
    inputs = [made[id(item)] for item in tree.flatten((args, kwargs)) if id(item) in made]
    if kind_of(operation) not in _PASSING_ON or not inputs:
        return Truncated(output, output, [output])
    args, kwargs = tree.map_structure(
        lambda item: made[id(item)].unactivated if id(item) in made else item, (args, kwargs)
    )
    unactivated = tree.flatten(infer(node, args, kwargs))[0]
    return Truncated(output, unactivated, [source for found in inputs for source in found.sources])
