"""Finding one's way in a model's configuration: layers, names, and who is called on whom. Knows no version of Keras."""

from collections.abc import Iterator
from typing import Any

Entry = dict[str, Any]


def walk(config: Entry) -> Iterator[Entry]:
    """The model and every layer in it, nested or wrapped; without recursion, as the file is not trusted."""
    waiting = [config]
    while waiting:
        entry = waiting.pop()
        yield entry
        # Only now: what was done to the entry may have brought its layers to light.
        waiting += reversed(children_of(entry))


def children_of(entry: Entry) -> list[Entry]:
    """A model's layers, or what a wrapper (TimeDistributed) holds."""
    wrapped = config_of(entry).get("layer")
    return layers_of(entry) + ([wrapped] if isinstance(wrapped, dict) else [])


def layers_of(entry: Entry) -> list[Entry]:
    layers = config_of(entry).get("layers")
    return [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []


def config_of(entry: Entry) -> Entry:
    config = entry.get("config")
    return config if isinstance(config, dict) else {}


def name_of(entry: Entry) -> str:
    return str(config_of(entry).get("name") or entry.get("name") or entry.get("class_name"))


def references(entry: Entry) -> Iterator[list[Any]]:
    """Every `[layer, call, tensor, …]` that a layer of this model is called on."""
    for layer in layers_of(entry):
        yield from _triples(layer.get("inbound_nodes"))


def ends(entry: Entry) -> Iterator[list[Any]]:
    yield from _triples([config_of(entry).get("input_layers"), config_of(entry).get("output_layers")])


def _triples(tree: Any) -> Iterator[list[Any]]:
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, list):
            continue
        if len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int):
            yield item
        else:
            waiting += item
