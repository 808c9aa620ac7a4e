"""Finding the two places that class heat maps need, on the static graph: the last spatial maps and the logits."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import keras

from service.keras.graph.axes.kinds import is_keras_own, kind_of
from service.keras.graph.axes.rules import is_guessed
from service.keras.graph.lookup import learns
from service.keras.graph.receptive_field import find_extent
from service.keras.graph.replay import Call, Value, Wiring
from service.keras.graph.upright import has_space, is_map

Activation = Literal["softmax", "sigmoid", "log_softmax", "linear", "other"]

IDENTITIES = {"Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "Identity"}
MOVES = {"Permute", "Transpose", "Moveaxis", "Swapaxes"}
RESHAPES = {"Flatten", "Reshape", "Cast"}
_WINDOWS = {"ExtractPatches", "SpaceToDepth", "Unfold"}
# Of a side: so much of it a convolution without padding may leave out.
_NEARLY_ALL = 0.9
_CUTTING = {"Cropping2D", "CenterCrop"}
# What goes through the steps of a sequence, one after the other.
_READERS = {"Bidirectional", "GRU", "LSTM", "RNN", "SimpleRNN"}
_POOLINGS = {"MaxPooling2D", "AveragePooling2D", "MaxPool", "AveragePool"}
_ACTIVATIONS = {"Softmax", "Sigmoid", "LogSoftmax", "Activation"}
_LIKE_SIGMOID = {"hardsigmoid", "sparsesigmoid"}
_FUSED = (keras.layers.Dense, keras.layers.Conv2D)


@dataclass(frozen=True)
class Head:
    """How the network's output is made from its logits.

    `source` says where the logits are: the `input` or the `preactivation` of `call`, the network's `output` itself, or
    None where they cannot be reached. `value` is the last tensor that scores depend on.
    """

    call: Call | None
    source: Literal["input", "preactivation", "output"] | None
    activation: Activation
    value: Value

    @property
    def has_logits(self) -> bool:
        return self.source is not None

    @property
    def gives_probabilities(self) -> bool:
        """Whether the output is known to be one: others, such as tanh's, may be negative, and have no logarithm."""
        return self.activation in ("softmax", "sigmoid")

    def describe(self) -> str:
        """In words, where the numbers are that class heat maps differentiate."""
        if self.call is not None:
            what = "the input of" if self.source == "input" else "the weighted sum before the activation of"
            return f"{what} '{self.call.site.path}' ({self.activation})"
        if self.has_logits:
            return "the output itself: the last layer is linear"
        if not self.gives_probabilities and self.activation != "log_softmax":
            return f"the output itself: what '{self.value.call.site.path}' ends with gives no probabilities"
        return f"the logarithm of the output: behind '{self.value.call.site.path}' no logits can be reached"


def find_head(output: Value) -> Head:
    """Walk back from the network's output to its logits, over layers that only drop, reshape or pass on."""
    value = output
    while _passes_on(value.call):
        value = value.call.inputs[0]
    call = value.call
    activation = activation_of(call.operation)
    if kind_of(call.operation) in _ACTIVATIONS and activation in ("softmax", "sigmoid"):
        return Head(call, "input", activation, call.inputs[0])
    if activation in ("softmax", "sigmoid") and _is_fused(call.operation):
        return Head(call, "preactivation", activation, value)
    if activation == "linear":
        mixed = _mixed_probabilities(value)
        return Head(None, None, mixed, value) if mixed else Head(None, "output", "linear", value)
    return Head(None, None, activation, value)


def find_default_layers(output: Value) -> list[Call]:
    """The calls whose maps enter the operations that destroy the spatial axes, the latest first; empty without such."""
    if has_space(output):
        return []
    found = {_before_pooling(value): None for value in _last_spatial(output)}
    return sorted((call for call in found if not call.is_input), key=lambda call: -call.order)


def find_doubt(wiring: Wiring, call: Call) -> str | None:
    """Why the map of a default layer may not be the last that the network makes of the picture; None where it is."""
    if not any(learns(value.call) for value in wiring.ancestors(call.outputs[0])):
        kinds = {kind_of(value.call.operation) for value in wiring.ancestors(call.outputs[0])}
        what = "a table of windows of the picture" if kinds & _WINDOWS else "the picture itself, rescaled or moved"
        return f"it is {what}: nothing before it has weights"
    mixing = _find_row(wiring, call.outputs[0])
    if mixing is None:
        return _find_cut(wiring, call) or _find_guess(wiring, call)
    path = mixing.site.path
    return f"behind it rows or columns go on as steps of a sequence, or as tokens, in '{path}': those have no maps"


def _find_guess(wiring: Wiring, call: Call) -> str | None:
    """The last class of somebody's own on the way, whose code says nothing of rows and columns."""
    before = {value.call for value in wiring.ancestors(call.outputs[0])}
    last = max((each for each in before if is_guessed(each.operation)), key=lambda each: each.order, default=None)
    if last is None:
        return None
    what = f"'{last.site.path}' ({type(last.operation).__name__})"
    return f"{what} is of a class that is not Keras's, and is taken to keep rows and columns where they are"


def _find_cut(wiring: Wiring, call: Call) -> str | None:
    """Where borders are cut off inside the network, what its maps are of."""
    kinds = {kind_of(value.call.operation) for value in wiring.ancestors(call.outputs[0])}
    if kinds.isdisjoint(_CUTTING):
        return None
    _, height, width, _ = wiring.inputs[0].shape
    extent = find_extent(wiring, call)
    if extent is None or not height or not width:
        return None
    top, left, bottom, right = extent
    if min((bottom - top) / height, (right - left) / width) > _NEARLY_ALL:
        return None
    return (
        f"its maps are of rows {top} to {bottom - 1} and columns {left} to {right - 1} of {height} x {width} alone, as "
        "the network cuts off the rest: drawn over the whole picture they lie displaced"
    )


def _find_row(wiring: Wiring, value: Value) -> Call | None:
    """The first call that computes with places of maps that lie in a row."""
    waiting, seen = [value], set[Value]()
    while waiting:
        current = waiting.pop()
        seen.add(current)
        for call in wiring.calls:
            if current not in call.inputs:
                continue
            if kind_of(call.operation) in IDENTITIES | RESHAPES | MOVES or is_map(call.outputs[0]):
                waiting += [made for made in call.outputs if made not in seen]
            elif (
                kind_of(call.operation) in _READERS
                or any(_holds_places(made) for made in call.outputs)
                # Of somebody's own, such as patches that become tokens.
                or (is_guessed(call.operation) and len(call.outputs[0].shape) > 2)
            ):
                return call
    return None


def _holds_places(value: Value) -> bool:
    return not is_map(value) and any(one.name in "hw" and one.size != 1 for factors in value.axes for one in factors)


def _before_pooling(value: Value) -> Call:
    value = _before_moves(value)
    if kind_of(value.call.operation) in _POOLINGS:
        value = _before_moves(value.call.inputs[0])
    return value.call


def activation_of(operation: keras.Operation) -> Activation:
    """The activation that an operation is, or ends with, by Keras's own name for it."""
    if kind_of(operation) in _ACTIVATIONS - {"Activation"}:
        return _named(operation)
    # Dense and Conv have one; a pooling, an Add or a normalisation is as linear as its output.
    function = getattr(operation, "activation", None)
    if function is None:
        return "linear" if is_keras_own(operation) else "other"
    return _named(function)


def is_between_0_and_1(call: Call) -> bool:
    """Whether an operation ends with a function that is no sigmoid and has its range all the same."""
    function = getattr(call.operation, "activation", None) or call.operation
    return getattr(function, "__name__", type(function).__name__).lower().replace("_", "") in _LIKE_SIGMOID


def _named(function: object) -> Activation:
    # A function of keras.activations or keras.ops, or a layer used as one.
    name = getattr(function, "__name__", type(function).__name__)
    names: dict[str, Activation] = {
        "softmax": "softmax",
        "sigmoid": "sigmoid",
        "log_softmax": "log_softmax",
        "logsoftmax": "log_softmax",
        "linear": "linear",
    }
    return names.get(name.lower(), "other")


def _mixed_probabilities(value: Value) -> Activation | None:
    """The softmax or sigmoid whose outputs are averaged, pooled or scaled here; None where weights come first."""
    waiting, seen = [value], set[Value]()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        activation = activation_of(current.call.operation)
        if activation in ("softmax", "sigmoid"):
            return activation
        if activation == "linear" and not getattr(current.call.operation, "weights", None):
            waiting += current.call.inputs
    return None


def _passes_on(call: Call) -> bool:
    name = kind_of(call.operation)
    return name in IDENTITIES | RESHAPES or (name == "Activation" and activation_of(call.operation) == "linear")


def _is_fused(operation: keras.Operation) -> bool:
    quantized = getattr(operation, "quantization_mode", None) is not None
    return isinstance(operation, _FUSED) and is_keras_own(operation) and not quantized


def _last_spatial(output: Value) -> Iterable[Value]:
    seen: set[Value] = set()
    waiting = [output]
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        if is_map(value):
            yield value
        else:
            waiting += value.call.inputs


def _before_moves(value: Value) -> Value:
    """The same numbers as they were computed."""
    while kind_of(value.call.operation) in IDENTITIES | MOVES and is_map(value.call.inputs[0]):
        value = value.call.inputs[0]
    return value
