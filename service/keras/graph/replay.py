"""Replaying a Keras graph, nested models included, with a hook at every call. Knows no gradients and no methods.

Keras offers no public way to reach a tensor inside a nested model ("graph disconnected"), so this file walks the
nodes itself. Every private Keras name that the engine relies on is in here, and a contract test pins them.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import keras
from keras import tree
from keras.src.models.functional import Functional

from service.keras.graph.axes.axes import BATCH, Axes, Name, Shape, axis, name_of, stamp, unknown
from service.keras.graph.axes.rules import claim_axes, find_axes
from service.keras.graph.axes.steps import Step
from service.keras.graph.first_bias import compute_with_first_bias, has_first_bias
from service.keras.graph.stems import find_stem


class Site(NamedTuple):
    """Where in the network a call stands: a shared layer is called several times under one path."""

    path: str
    occurrence: int


class Node(Protocol):
    """A call as Keras keeps it: what is called, and the symbols that come out."""

    operation: keras.Operation
    outputs: list[keras.KerasTensor]


class _KerasNode(Node, Protocol):
    """One that Keras has made."""

    input_tensors: list[keras.KerasTensor]


# `(site, node, args, kwargs)` to what the call gives: one or several, in whatever tree Keras puts them.
Hook = Callable[[Site, Node, tuple[object, ...], dict[str, object]], object]
# What goes through the graph in the place of its symbols: tensors, or values of the static graph.
Live = TypeVar("Live")


def replay(network: keras.Model, inputs: Sequence[Live], hook: Hook) -> list[Live]:
    """Walk the network in execution order and return its flat outputs.

    `hook(site, node, args, kwargs)` computes each call that is not itself a Functional or Sequential model, and both
    parts of a layer that `stems` looks into;
    `node.operation` is the layer or operation. Nothing in the network is changed.
    """
    return _walk(graph_of(network), inputs, "", Counter(), hook)


def functional(operation: keras.Operation) -> keras.Model | None:
    """The Functional graph of a model, or None where the operation is a leaf of the replay."""
    # A class of somebody's own may override `call`, which the nodes would not show.
    if isinstance(operation, keras.Sequential):
        return operation._functional if type(operation).call is keras.Sequential.call else None
    return operation if isinstance(operation, Functional) and type(operation).call is Functional.call else None


def graph_of(network: keras.Model) -> keras.Model:
    """The Functional graph of a network that was loaded: no other is served."""
    graph = functional(network)
    assert graph is not None
    return graph


def infer(node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
    """Call the node's operation in inference mode."""
    operation = node.operation
    if getattr(operation, "_call_has_training_arg", False):
        kwargs = {**kwargs, "training": False}
    if has_first_bias(operation):
        return compute_with_first_bias(operation, *args, activation=operation.activation, **kwargs)
    if isinstance(operation, keras.layers.Discretization):
        # In a compiled graph alone, Keras would cast what enters it to the layer's dtype, and that may be an integer.
        return operation.call(*args, **kwargs)
    return operation(*args, **kwargs)


def plainly(_: Site, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
    """The hook that computes every call as it is."""
    return infer(node, args, kwargs)


def _walk(function: keras.Model, inputs: Sequence[Live], prefix: str, calls: Counter[str], hook: Hook) -> list[Live]:
    def once(path: str, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> list[Live]:
        site = Site(path, calls[path])
        calls[path] += 1
        return list(tree.flatten(hook(site, node, args, kwargs)))

    live = {id(symbol): value for symbol, value in zip(function.inputs, inputs, strict=True)}
    for depth in sorted(function._nodes_by_depth, reverse=True):
        for node in function._nodes_by_depth[depth]:
            if node.is_input or any(id(symbol) not in live for symbol in node.input_tensors):
                continue
            args, kwargs = node.arguments.fill_in(live)
            path = prefix + node.operation.name
            inner = functional(node.operation)
            if inner is not None:
                nested = args[0] if args else kwargs["inputs"]
                outputs = _walk(inner, tree.flatten(nested), path + "/", calls, hook)
            else:
                outputs = _call(path, node, args, kwargs, once)
            live |= {id(symbol): value for symbol, value in zip(node.outputs, outputs, strict=True)}
    return [live[id(symbol)] for symbol in function.outputs]


class _Part(NamedTuple):
    """Of a layer that is looked into: a Node."""

    operation: keras.Operation
    outputs: list[keras.KerasTensor]


def _call(
    path: str, node: _KerasNode, args: tuple[object, ...], kwargs: dict[str, object], once: Callable[..., list[Live]]
) -> list[Live]:
    """A leaf, as one call, or as two where it is a layer that begins with a convolution."""
    is_plain = len(node.input_tensors) == len(node.outputs) == len(args) == 1 and not any(kwargs.values())
    stem = find_stem(node.operation, node.input_tensors[0], node.outputs[0]) if is_plain else None
    if stem is None:
        return once(path, node, args, kwargs)
    maps = once(f"{path}/{stem.first.name}", _Part(stem.first, [stem.maps]), args, {})
    return once(path, _Part(stem.rest, node.outputs), tuple(maps), {})


@dataclass(eq=False)
class Value:
    """A tensor of the static graph: its shape, the call that makes it, and what its axes are."""

    shape: Shape
    call: "Call"
    axes: Axes = ()


@dataclass(eq=False)
class Call:
    """One call of a leaf operation, or a network input (an InputLayer); `order` counts in execution order.

    `args` and `kwargs` are what it is called with, values in the place of tensors.
    """

    site: Site
    order: int
    operation: keras.Operation
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...] = ()
    args: tuple[object, ...] = ()
    kwargs: dict[str, object] = field(default_factory=dict)

    @property
    def is_input(self) -> bool:
        return not self.inputs


@dataclass(frozen=True)
class Wiring:
    """The whole network, nested models flattened, as calls and the values between them."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    calls: tuple[Call, ...]
    by_path: dict[str, Call] = field(repr=False)
    by_site: dict[Site, Call] = field(repr=False)

    @property
    def layers(self) -> list[Call]:
        """The calls in execution order, a shared layer once, by its last call."""
        return [call for call in self.calls if self.by_path[call.site.path] is call]

    def ancestors(self, value: Value) -> set[Value]:
        """Every value that `value` is computed from, itself included."""
        seen: set[Value] = set()
        waiting = [value]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting += current.call.inputs
        return seen


def wire(network: keras.Model) -> Wiring:
    """Rank the graph once, without running it. A path called several times leads to its last call."""
    calls: list[Call] = []

    def add(call: Call, symbols: Sequence[keras.KerasTensor]) -> list[Value]:
        call.outputs = tuple(Value(tuple(symbol.shape), call) for symbol in symbols)
        label(call)
        calls.append(call)
        return list(call.outputs)

    def note(site: Site, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> list[Value]:
        inputs = tuple(item for item in tree.flatten((args, kwargs)) if isinstance(item, Value))
        return add(Call(site, len(calls), node.operation, inputs, args=args, kwargs=kwargs), node.outputs)

    inputs: list[Value] = []
    for symbol in graph_of(network).inputs:
        layer = symbol._keras_history.operation
        inputs += add(Call(Site(layer.name, 0), len(calls), layer, ()), [symbol])
    outputs = replay(network, inputs, note)
    return Wiring(
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        calls=tuple(calls),
        by_path={call.site.path: call for call in calls},
        by_site={call.site: call for call in calls},
    )


def label(call: Call) -> None:
    """Say what the axes of a call's outputs are, by those of its inputs."""
    if call.is_input:
        (value,) = call.outputs
        names: list[Name] = ["h", "w", "c"] if len(value.shape) == 4 else ["?"] * (len(value.shape) - 1)
        value.axes = stamp((BATCH, *map(axis, names)), value.shape)
        return
    claimed = claim_axes(_step(call))
    if claimed is not None:
        _relabel(call.inputs[0], stamp(claimed, call.inputs[0].shape))
    try:
        found = find_axes(_step(call))
    except (AttributeError, IndexError, TypeError, ValueError, KeyError):
        # An operation that was called in a way of which its rule does not know.
        found = [unknown(value.shape) for value in call.outputs]
    for value, axes in zip(call.outputs, found, strict=True):
        value.axes = stamp(axes, value.shape)


def _step(call: Call) -> Step:
    return Step(
        call.operation,
        call.args,
        call.kwargs,
        given=tuple(value.axes for value in call.inputs),
        shapes=tuple(value.shape for value in call.inputs),
        made=tuple(value.shape for value in call.outputs),
    )


def _relabel(value: Value, axes: Axes) -> None:
    """Also what only passed its numbers on to here."""
    before = value.axes
    while value.axes == before:
        value.axes = axes
        inputs = value.call.inputs
        if len(inputs) != 1 or any(name_of(one) in ("h", "w") for one in inputs[0].axes):
            return
        value = inputs[0]
