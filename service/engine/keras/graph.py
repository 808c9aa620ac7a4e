"""Replaying a Keras graph, nested models included, with a hook at every call. Knows no gradients and no methods.

Keras offers no public way to reach a tensor inside a nested model ("graph disconnected"), so this file walks the
nodes itself. Every private Keras name that the engine relies on is in here, and a contract test pins them.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
from keras import tree


class Site(NamedTuple):
    """Where in the network a call stands: a shared layer is called several times under one path."""

    path: str
    occurrence: int


Hook = Callable[[Site, Any, tuple[Any, ...], dict[str, Any]], Any]


def replay(network: keras.Model, inputs: Sequence[Any], hook: Hook) -> list[Any]:
    """Walk the network in execution order and return its flat outputs.

    `hook(site, node, args, kwargs)` computes each call that is not itself a Functional or Sequential model;
    `node.operation` is the layer or operation. Nothing in the network is changed.
    """
    return _walk(functional(network), inputs, "", Counter(), hook)


def functional(network: Any) -> Any:
    """The Functional graph of a model, or None where the operation is a leaf of the replay."""
    if isinstance(network, keras.Sequential):
        return network._functional
    # A class of somebody's own may override `call`, which the nodes would not show.
    is_keras_own = type(network).__module__.startswith("keras.")
    return network if is_keras_own and hasattr(network, "_nodes_by_depth") else None


def infer(node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call the node's operation in inference mode."""
    operation = node.operation
    if getattr(operation, "_call_has_training_arg", False):
        kwargs = {**kwargs, "training": False}
    return operation(*args, **kwargs)


def plainly(_: Site, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The hook that computes every call as it is."""
    return infer(node, args, kwargs)


def _walk(function: Any, inputs: Sequence[Any], prefix: str, calls: Counter[str], hook: Hook) -> list[Any]:
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
                site = Site(path, calls[path])
                calls[path] += 1
                outputs = tree.flatten(hook(site, node, args, kwargs))
            live |= {id(symbol): value for symbol, value in zip(node.outputs, outputs, strict=True)}
    return [live[id(symbol)] for symbol in function.outputs]


@dataclass(eq=False)
class Value:
    """A tensor of the static graph: its shape and the call that makes it."""

    shape: tuple[int | None, ...]
    call: "Call"


@dataclass(eq=False)
class Call:
    """One call of a leaf operation, or a network input (an InputLayer); `order` counts in execution order."""

    site: Site
    order: int
    operation: Any
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...] = ()

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

    def add(site: Site, operation: Any, inputs: tuple[Value, ...], symbols: Sequence[Any]) -> list[Value]:
        call = Call(site, len(calls), operation, inputs)
        call.outputs = tuple(Value(tuple(symbol.shape), call) for symbol in symbols)
        calls.append(call)
        return list(call.outputs)

    def note(site: Site, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Value]:
        inputs = tuple(item for item in tree.flatten((args, kwargs)) if isinstance(item, Value))
        return add(site, node.operation, inputs, node.outputs)

    inputs: list[Value] = []
    for symbol in functional(network).inputs:
        layer = symbol._keras_history.operation
        inputs += add(Site(layer.name, 0), layer, (), [symbol])
    outputs = replay(network, inputs, note)
    return Wiring(
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        calls=tuple(calls),
        by_path={call.site.path: call for call in calls},
        by_site={call.site: call for call in calls},
    )
