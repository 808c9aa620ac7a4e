"""hard_sigmoid as Keras 2 computed it, where it is fused into a layer: what enters it is multiplied by 1.2.

Keras 2's is clip(0.2 x + 0.5, 0, 1), Keras 3's clip(x / 6 + 0.5, 0, 1). The weights of those units are scaled in the
network that was loaded from an old file, after they were compared with the file's.
"""

from collections.abc import Iterator
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from service.errors import ModelFailedError
from service.keras.files.repair.activation_edits import SCALE

# Attributes by which layers hold layers, and activations that are layers.
_HOLDERS: Final = ("layers", "layer", "forward_layer", "backward_layer", "cell", "cells")
# The gates of recurrent cells, in order, by the function that they go through.
_GATES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "LSTMCell": {"recurrent_activation": ("i", "f", "o")},
    "ConvLSTMCell": {"recurrent_activation": ("i", "f", "o")},
    "GRUCell": {"recurrent_activation": ("z", "r"), "activation": ("h",)},
    "SimpleRNNCell": {"activation": ("h",)},
}
_ORDER: Final = {"LSTMCell": "ifco", "ConvLSTMCell": "ifco", "GRUCell": "zrh", "SimpleRNNCell": "h"}
# The weights that what enters a layer's function is linear in.
_CONVOLUTIONS: Final = tuple(
    getattr(keras.layers, f"{kind}Conv{rank}D{suffix}")
    for kind, rank, suffix in (
        *(("", rank, suffix) for rank in (1, 2, 3) for suffix in ("", "Transpose")),
        *(("Depthwise", rank, "") for rank in (1, 2)),
    )
)
_KERNELS: Final[dict[type[keras.Layer], str]] = {
    **dict.fromkeys((keras.layers.Dense, keras.layers.EinsumDense, *_CONVOLUTIONS), "kernel"),
    keras.layers.SeparableConv1D: "pointwise_kernel",
    keras.layers.SeparableConv2D: "pointwise_kernel",
}
_SENTENCE: Final = (
    "hard_sigmoid rises by 1/5 as in Keras 2, not by 1/6 as in Keras 3: the weights before it were multiplied by 1.2: "
)


def restore_hard_sigmoid(network: keras.Model) -> tuple[str, ...]:
    """Scale the weights before every fused hard_sigmoid, and return a sentence that says so.

    Raises ModelFailedError where that would not be the same.
    """
    layers = [*_layers(network)]
    # A layer by itself has a Rescaling before it.
    scaled = {layer.name.rstrip("_") for layer, _ in layers if isinstance(layer, keras.layers.Rescaling)}
    fused = [
        (layer, name)
        for layer, name in layers
        if not isinstance(layer, keras.layers.Activation) or f"{layer.name}_scaled" not in scaled
    ]
    names = list(dict.fromkeys(name for layer, name in fused if _restore(layer, name)))
    shown = ", ".join(f"'{name}'" for name in names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
    return (_SENTENCE + shown,) if names else ()


def _layers(network: keras.Model) -> Iterator[tuple[keras.Layer, str]]:
    """Every layer once, those within others too, with the name of the layer of a model that it belongs to."""
    waiting, seen = [(network, "")], set()
    while waiting:
        layer, owner = waiting.pop()
        if not isinstance(layer, keras.layers.Layer) or id(layer) in seen:
            continue
        seen.add(id(layer))
        name = "" if isinstance(layer, keras.Model) else owner or layer.name
        yield layer, name
        held = [getattr(layer, attribute, None) for attribute in _HOLDERS]
        waiting += [(item, name) for value in held for item in (value if isinstance(value, list | tuple) else [value])]


def _restore(layer: keras.Layer, name: str) -> bool:
    if hasattr(layer, "cell"):
        # It shows its cell's functions as its own.
        return False
    hard = [place for place in ("activation", "recurrent_activation") if _is_hard(getattr(layer, place, None))]
    if not hard:
        return False
    cell = type(layer).__name__
    if cell in _GATES and all(place in _GATES[cell] for place in hard):
        _scale_gates(layer, {gate for place in hard for gate in _GATES[cell][place]}, _ORDER[cell])
    elif type(layer) in _KERNELS:
        _scale([getattr(layer, _KERNELS[type(layer)]), getattr(layer, "bias", None)], SCALE)
    else:
        raise ModelFailedError(
            f"layer '{name}' ({cell}) has hard_sigmoid as its {hard[0]}, which Keras 3 computes otherwise, "
            "whatever its weights: train the network with another one"
        )
    return True


def _scale_gates(cell: keras.Layer, gates: set[str], order: str) -> None:
    units = cell.recurrent_kernel.shape[-1] // len(order)
    factors = np.repeat([SCALE if gate in gates else 1.0 for gate in order], units)
    _scale([cell.kernel, cell.recurrent_kernel, cell.bias], factors)


def _scale(weights: list[keras.Variable | None], factors: float | NDArray[np.float64]) -> None:
    for weight in weights:
        if weight is not None:
            weight.assign(np.asarray(keras.ops.convert_to_numpy(weight), np.float64) * factors)


def _is_hard(function: object) -> bool:
    if isinstance(function, keras.layers.Activation):
        return _is_hard(function.activation)
    return function is keras.activations.hard_sigmoid
