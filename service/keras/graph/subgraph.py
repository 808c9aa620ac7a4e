"""A part of a network: from some of its tensors to others, with nothing else computed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import keras
from keras import tree

from service.keras.graph.axes.axes import has_batch
from service.keras.graph.replay import Call, Hook, Node, Site, Value, Wiring, plainly, replay

if TYPE_CHECKING:
    import tensorflow as tf

_ABSENT: Final = object()


@dataclass(frozen=True)
class Subgraph:
    """What goes in, what comes out, and the calls in between."""

    given: tuple[Value, ...]
    wanted: tuple[Value, ...]
    calls: frozenset[Site]


def find_subgraph(given: Iterable[Value], wanted: Iterable[Value]) -> Subgraph:
    """Everything that `wanted` needs beyond `given`."""
    given, wanted = tuple(given), tuple(wanted)
    calls: set[Site] = set()
    seen, waiting = set(given), list(wanted)
    while waiting:
        value = waiting.pop()
        if value not in seen:
            seen.add(value)
            calls.add(value.call.site)
            waiting += value.call.inputs
    return Subgraph(given, wanted, frozenset(calls))


def find_cut(wiring: Wiring, call: Call) -> tuple[Value, ...]:
    """The tensors that the network's outputs can be computed from once `call` has run; its own output first.

    Calls stand in execution order: none up to `call` depends on it, so that all of its influence lies beyond. Where one
    of the tensors has no batch axis of its own, or one that counts windows of pictures, they cannot be kept per image:
    then the frontier is the input.
    """
    found: dict[Value, None] = {call.outputs[0]: None}
    seen: set[Value] = set()
    waiting = list(wiring.outputs)
    while waiting:
        value = waiting.pop()
        if value.call.order <= call.order:
            found[value] = None
        elif value not in seen:
            seen.add(value)
            waiting += value.call.inputs
    if any(not value.shape or value.shape[0] is not None or not has_batch(value.axes) for value in found):
        return wiring.inputs
    return tuple(found)


def compute_subgraph(
    network: keras.Model, wiring: Wiring, part: Subgraph, tensors: Sequence["tf.Tensor"], operate: Hook = plainly
) -> list["tf.Tensor"]:
    """The tensors that are wanted, from those given; `operate` computes each call in between."""
    live: dict[Value, tf.Tensor] = dict(zip(part.given, tensors, strict=True))

    def hook(here: Site, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> list["tf.Tensor"]:
        values = wiring.by_site[here].outputs
        made = operate(here, node, args, kwargs) if here in part.calls else [_ABSENT] * len(values)
        return [live.setdefault(value, tensor) for value, tensor in zip(values, tree.flatten(made), strict=True)]

    replay(network, [live.get(value, _ABSENT) for value in wiring.inputs], hook)
    return [live[value] for value in part.wanted]
