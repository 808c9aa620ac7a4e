"""Finding one's way in a model's configuration: layers, names, and who is called on whom. Knows no version of Keras."""

from collections.abc import Iterator
from typing import Any, TypeGuard

# An object of a file's JSON. Nobody trusts the file: a member may be anything, and is tested where it is read.
Entry = dict[str, Any]
# `[layer, call, tensor, …]`, as `is_reference` tells it from a list of numbers.
Reference = list[Any]

# The members of a configuration by which a layer holds others: wrappers, recurrent layers, activations that are layers.
_HOLDERS = ("layer", "forward_layer", "backward_layer", "cell", "cells", "activation", "recurrent_activation")


def walk(config: Entry) -> Iterator[Entry]:
    """The model and every layer in it, nested or wrapped; without recursion, as the file is not trusted."""
    waiting = [config]
    while waiting:
        entry = waiting.pop()
        yield entry
        # Only now: what was done to the entry may have brought its layers to light.
        waiting += reversed(children_of(entry))


def children_of(entry: Entry) -> list[Entry]:
    """A model's layers, and what a layer holds."""
    return layers_of(entry) + held_by(entry)


def held_by(entry: Entry) -> list[Entry]:
    """The layers within one layer: TimeDistributed's, Bidirectional's two, cells, a LeakyReLU as activation."""
    values = [config_of(entry).get(key) for key in _HOLDERS]
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [item for item in flat if isinstance(item, dict) and isinstance(item.get("config"), dict)]


def layers_of(entry: Entry) -> list[Entry]:
    layers = config_of(entry).get("layers")
    return [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []


def config_of(entry: Entry) -> Entry:
    config = entry.get("config")
    return config if isinstance(config, dict) else {}


def name_of(entry: Entry) -> str:
    return str(config_of(entry).get("name") or entry.get("name") or entry.get("class_name"))


def references(entry: Entry) -> Iterator[Reference]:
    """Every `[layer, call, tensor, …]` that a layer of this model is called on."""
    for layer in layers_of(entry):
        yield from _triples(layer.get("inbound_nodes"))


def ends(entry: Entry) -> Iterator[Reference]:
    yield from _triples([config_of(entry).get("input_layers"), config_of(entry).get("output_layers")])


def is_reference(item: object) -> TypeGuard[Reference]:
    """Whether this is `[layer, call, tensor, …]`, and no list of numbers."""
    return isinstance(item, list) and len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int)


def _triples(tree: object) -> Iterator[Reference]:
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if is_reference(item):
            yield item
            # Further tensors that the layer is called on, by argument.
            item = item[3:]
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            waiting += item.values()
