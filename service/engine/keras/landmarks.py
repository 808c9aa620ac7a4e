"""Finding the two places that class heat maps need, on the static graph: the last spatial maps and the logits."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import keras

from service.engine.keras.graph import Call, Value, Wiring
from service.engine.probe import is_spatial

Activation = Literal["softmax", "sigmoid", "linear", "other"]

_IDENTITIES = {"Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "Identity"}
_RESHAPES = {"Flatten", "Reshape"}
_POOLINGS = {"MaxPooling2D", "AveragePooling2D", "MaxPool", "AveragePool"}
_FUSED = (keras.layers.Dense, keras.layers.Conv2D)


@dataclass(frozen=True)
class Head:
    """How the network's output is made from its logits.

    `source` says where the logits are: the `input` or the `preactivation` of `call`, or the network's `output` itself.
    """

    call: Call | None
    source: Literal["input", "preactivation", "output"]
    activation: Activation
    value: Value


def find_head(output: Value) -> Head:
    """Walk back from the network's output to its logits, over layers that only drop, reshape or pass on."""
    value = output
    while _passes_on(value.call):
        value = value.call.inputs[0]
    call = value.call
    activation = activation_of(call.operation)
    if _is_activation(call.operation) and activation in ("softmax", "sigmoid"):
        return Head(call, "input", activation, call.inputs[0])
    if activation == "linear":
        return Head(None, "output", "linear", value)
    if activation in ("softmax", "sigmoid") and _is_fused(call.operation):
        return Head(call, "preactivation", activation, value)
    return Head(None, "output", "other", value)


def find_default_layer(output: Value) -> Call | None:
    """The call whose maps enter the operation that destroys the spatial axes; None where there is no such place."""
    if is_spatial(output.shape):
        return None
    found = [value for value in _last_spatial(output) if not value.call.is_input]
    if not found:
        return None
    value = _before_identities(max(found, key=lambda value: value.call.order))
    if type(value.call.operation).__name__ in _POOLINGS:
        value = _before_identities(value.call.inputs[0])
    return None if value.call.is_input else value.call


def nearest_spatial(wiring: Wiring, call: Call) -> Call | None:
    """The spatial call nearest in execution order, earlier ones first."""
    spatial = [other for other in wiring.calls if is_spatial(other.outputs[0].shape) and not other.is_input]
    earlier = [other for other in spatial if other.order < call.order]
    return earlier[-1] if earlier else next(iter(spatial), None)


def activation_of(operation: Any) -> Activation:
    """The activation that an operation ends with, by Keras's own name for it."""
    name = type(operation).__name__
    if name in ("Softmax", "Sigmoid"):
        return "softmax" if name == "Softmax" else "sigmoid"
    if not hasattr(operation, "activation"):
        # Dense and Conv have one; a pooling, an Add or a normalisation is as linear as its output.
        return "linear"
    function = operation.activation
    if function is None or function is keras.activations.linear:
        return "linear"
    if function is keras.activations.softmax:
        return "softmax"
    return "sigmoid" if function is keras.activations.sigmoid else "other"


def _passes_on(call: Call) -> bool:
    name = type(call.operation).__name__
    return name in _IDENTITIES | _RESHAPES or (name == "Activation" and activation_of(call.operation) == "linear")


def _is_activation(operation: Any) -> bool:
    return type(operation).__name__ in ("Softmax", "Sigmoid", "Activation")


def _is_fused(operation: Any) -> bool:
    quantized = getattr(operation, "quantization_mode", None) is not None
    return isinstance(operation, _FUSED) and not quantized


def _last_spatial(output: Value) -> Iterable[Value]:
    seen: set[Value] = set()
    waiting = [output]
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        if is_spatial(value.shape):
            yield value
        else:
            waiting += value.call.inputs


def _before_identities(value: Value) -> Value:
    while type(value.call.operation).__name__ in _IDENTITIES:
        value = value.call.inputs[0]
    return value
