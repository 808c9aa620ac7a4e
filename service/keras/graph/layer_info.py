"""The facts about a network, read from its static graph: what goes in, what comes out, which layers there are."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from service.engine.ports.network_info import LayerInfo, Space, TargetKind, Task
from service.keras.graph.axes.axes import find_order
from service.keras.graph.axes.kinds import kind_of
from service.keras.graph.head import Head, activation_of
from service.keras.graph.replay import Call, Value, Wiring
from service.keras.graph.upright import has_space, is_map, upright_shape

if TYPE_CHECKING:
    import keras

# Layers, and operations of `keras.ops`, that only finish what the layer before them has computed.
_ACTIVATIONS: Final = {
    *("BatchNormalization", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"),
    *("Relu", "Relu6", "Sigmoid", "Tanh", "Silu", "Gelu", "Elu", "HardSigmoid", "HardSilu", "HardSwish"),
}


def image_shape(wiring: Wiring) -> tuple[int | None, int | None, int] | None:
    """(h, w, c) where exactly one picture goes in, else None."""
    if len(wiring.inputs) != 1 or len(wiring.inputs[0].shape) != 4:
        return None
    _, height, width, channels = wiring.inputs[0].shape
    return (height, width, channels) if channels in (1, 3) else None


def guess_task(wiring: Wiring, head: Head) -> Task:
    """Guess from the output's shape and activation; `task` in model.toml overrules it."""
    output = wiring.outputs[0]
    units = unit_count(output)
    if len(wiring.outputs) != 1:
        return "features"
    if units is None:
        return "autoencoder" if upright_shape(output)[1:] == wiring.inputs[0].shape[1:] else "features"
    if head.activation == "sigmoid" and units == 1:
        return "binary"
    if head.activation in ("softmax", "sigmoid", "log_softmax"):
        return "classification"
    return "regression"


def unit_count(output: Value) -> int | None:
    """How many numbers come out per image, where the output is a vector (or 1 x 1 maps); None for anything else."""
    shape = upright_shape(output)
    if len(shape) == 4 and shape[1:3] == (1, 1):
        return shape[3]
    return shape[1] if len(shape) == 2 else None


def class_count(task: Task, units: int | None) -> int | None:
    """How many class scores there are: a single sigmoid unit stands for two classes."""
    if task == "binary" and units == 1:
        return 2
    return units if task in ("classification", "binary", "regression") else None


def target_kind(task: Task, head: Head) -> TargetKind | None:
    """What a class heat map can differentiate."""
    if task == "regression":
        return "value"
    if task in ("classification", "binary"):
        if head.has_logits:
            return "logit"
        return "value" if head.activation == "other" else "log_probability"
    return None


def list_layers(wiring: Wiring) -> Iterable[LayerInfo]:
    """Every leaf call in execution order, a shared layer once."""
    readers = _find_readers(wiring)
    for call in wiring.layers:
        facts = describe_layer(call)
        yield replace(facts, response=_find_response(call, readers)) if facts.kernel_shape else facts


def describe_layer(call: Call) -> LayerInfo:
    """The facts about one call's layer."""
    layer = call.operation
    return LayerInfo(
        path=call.site.path,
        type=type(layer).__name__,
        output_shape=upright_shape(call.outputs[0]),
        kernel_shape=_weight_shape(layer, "kernel", "depthwise_kernel"),
        bias_shape=_weight_shape(layer, "bias"),
        parameters=_count(getattr(layer, "weights", [])),
        space=_space_of(call.outputs[0]),
    )


def _space_of(value: Value) -> Space:
    if find_order(value.axes) is None:
        return "unknown"
    return "own" if has_space(value) and not is_map(value) else "picture"


def _find_readers(wiring: Wiring) -> dict[Value, list[Call]]:
    """Who takes each value as its input."""
    readers: dict[Value, list[Call]] = {}
    for call in wiring.calls:
        for value in call.inputs:
            readers.setdefault(value, []).append(call)
    return readers


def _find_response(call: Call, readers: dict[Value, list[Call]]) -> str:
    """Where the answer of its filters stands: past a normalisation, and at the first activation."""
    while activation_of(call.operation) == "linear":
        following = readers.get(call.outputs[0], [])
        if len(following) != 1 or not _finishes(following[0]):
            break
        call = following[0]
        if kind_of(call.operation) != "BatchNormalization":
            break
    return call.site.path


def _finishes(call: Call) -> bool:
    name = kind_of(call.operation)
    return name in _ACTIVATIONS and call.outputs[0].shape == call.inputs[0].shape


def _weight_shape(layer: "keras.Operation", *names: str) -> tuple[int, ...] | None:
    for name in names:
        weight = getattr(layer, name, None)
        if weight is not None and hasattr(weight, "shape"):
            return tuple(weight.shape)
    return None


def _count(weights: Iterable["keras.Variable"]) -> int:
    return int(sum(np.prod(weight.shape) for weight in weights))
