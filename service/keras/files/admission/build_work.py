"""How much work a configuration makes for Keras, in calls of layers, by arithmetic on its JSON.

A few kilobytes can ask for hours: a nested model that is called twice in one that is called twice doubles each time; a
Sequential is built anew with each of its layers; layers that are listed backwards are tried again and again. Imports no
Keras, and takes any JSON.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from service.keras.files.entries import Entry, config_of

# What a layer may hold: of wrappers, and of recurrent layers.
_HELD: Final = ("layer", "forward_layer", "backward_layer", "cell", "cells")
# To read a reference takes about a tenth of a call.
_READS_PER_CALL: Final = 10
_DEPTH: Final = 100
# Calls that an input has: it needs none.
_ALWAYS: Final = 2**63
_Inputs = list[tuple[str, int]]


class Work(NamedTuple):
    """`calls` of leaf layers whenever it is called; `build` until it stands. Beyond `most` nothing is exact."""

    calls: int
    build: int


def measure_work(entry: object, most: int) -> Work:
    """Of a model and everything in it."""
    meter = _Meter(most * _READS_PER_CALL)
    work = meter.measure(entry, 0)
    return Work(work.calls, work.build + meter.reads // _READS_PER_CALL)


class _Meter:
    """`reads` are references that Keras reads while it looks for calls that can be made, at most `most` and a few."""

    def __init__(self, most: int) -> None:
        self.reads = 0
        self._most = most

    def measure(self, entry: object, depth: int) -> Work:
        if not isinstance(entry, dict) or depth > _DEPTH:
            return Work(1, 1)
        layers = _layers(entry)
        if not layers:
            held = [self.measure(item, depth + 1) for item in _held(entry)]
            # A wrapper may call what it holds for its shape, and once more for itself.
            calls = 1 + 2 * sum(item.calls for item in held)
            return Work(calls, calls + sum(item.build for item in held))
        works = [self.measure(layer, depth + 1) for layer in layers]
        return _sequential(works) if entry.get("class_name") == "Sequential" else self._functional(layers, works)

    def _functional(self, layers: Sequence[object], works: Sequence[Work]) -> Work:
        nodes = [_nodes(layer) for layer in layers]
        calls = sum(max(1, len(own)) * work.calls for own, work in zip(nodes, works, strict=True))
        self._order([_name(layer) for layer in layers], [[list(_references(node)) for node in own] for own in nodes])
        return Work(calls, calls + sum(work.build for work in works))

    def _order(self, names: Sequence[str], nodes: Sequence[Sequence[_Inputs]]) -> None:
        """Go through the layers as Keras does: again and again, calling whatever has its inputs by then."""
        made = {name: 0 if own else _ALWAYS for name, own in zip(names, nodes, strict=True)}
        pending = [place for place, own in enumerate(nodes) if own]
        moved = True
        while pending and moved and self.reads <= self._most:
            moved, waiting = False, []
            for place in pending:
                name, own = names[place], nodes[place]
                while (at := made[name]) < len(own):
                    self.reads += 1 + len(own[at])
                    if any(number >= made.get(source, 0) for source, number in own[at]):
                        waiting.append(place)
                        break
                    made[name] = at + 1
                    moved = True
            pending = waiting


def _sequential(works: Sequence[Work]) -> Work:
    calls = build = 0
    for work in works:
        calls += work.calls
        build += work.build + calls
    return Work(calls, build)


def _layers(entry: Entry) -> list[object]:
    config = entry.get("config")
    layers = config.get("layers") if isinstance(config, dict) else config
    return layers if isinstance(layers, list) and "class_name" in entry else []


def _held(entry: Entry) -> Iterator[object]:
    for key in _HELD:
        item = config_of(entry).get(key)
        yield from item if isinstance(item, list) else [item] if isinstance(item, dict) else []


def _nodes(layer: object) -> list[object]:
    nodes = layer.get("inbound_nodes") if isinstance(layer, dict) else None
    return nodes if isinstance(nodes, list) else []


def _name(layer: object) -> str:
    return str(layer.get("name")) if isinstance(layer, dict) else ""


def _references(node: object) -> Iterator[tuple[str, int]]:
    """Layer and number of its call, in the form of Keras 2 or 3."""
    waiting = [node]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list):
            if len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int):
                yield item[0], item[1]
            else:
                waiting += item
