"""The part of a network that one layer depends on: its output, and what it computes before its activation.

Nothing beyond the layer is touched, so that a picture may have a size which the network's end could not take.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import tree

from service.engine.keras.graph import Call, Site, Wiring, functional, infer, replay
from service.engine.keras.landmarks import activation_of
from service.engine.keras.scoring import first_tensor, preactivation

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
_ABSENT = object()

Excerpt = Callable[[Any], tuple[Any, Any]]


def excerpt(network: keras.Model, wiring: Wiring, call: Call) -> Excerpt:
    """A function from a batch of images to (before the layer's activation, the layer's output).

    The two are the same tensor where the layer has no activation.
    """
    needed = {value.call.site for value in wiring.ancestors(call.outputs[0])}

    def compute(images: Any) -> tuple[Any, Any]:
        kept: list[Any] = []

        def hook(here: Site, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if here not in needed:
                return [_ABSENT] * len(node.outputs)
            if here != call.site:
                return infer(node, args, kwargs)
            before, output = _split(node, args, kwargs)
            kept.extend((before, tree.flatten(output)[0]))
            return output

        replay(network, [tf.cast(images, functional(network).inputs[0].dtype)], hook)
        return kept[0], kept[1]

    return compute


def _split(node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    operation = node.operation
    if isinstance(operation, FUSED) and activation_of(operation) != "linear":
        before = preactivation(operation, first_tensor(args, kwargs))
        return before, operation.activation(before)
    output = infer(node, args, kwargs)
    if type(operation).__name__ in _ACTIVATIONS:
        return first_tensor(args, kwargs), output
    before = tree.flatten(output)[0]
    return before, output
