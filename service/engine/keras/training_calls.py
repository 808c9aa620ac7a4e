"""Layers that a file calls with `training=True`, whatever is asked of the network: none whose answer depends on it.

BatchNormalization then takes the statistics of the picture itself; this service asks every layer without training.
Imports no Keras.
"""

from collections.abc import Iterator
from typing import Any, Final

from service.engine.keras.entries import Entry, layers_of, name_of, walk
from service.errors import ModelFailedError

_STATISTICS: Final = ("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization")


def require_inference(config: Entry) -> None:
    """Raise ModelFailedError, with the layer's name, where statistics are taken of what is being served."""
    for entry in walk(config):
        for layer in layers_of(entry):
            if any(_trains(node) for node in _nodes(layer)) and any(_takes_statistics(part) for part in walk(layer)):
                raise ModelFailedError(
                    f"layer '{name_of(layer)}' is called with training=True, so that each picture is normalised by "
                    "its own statistics: build the network without it and save the model again"
                )


def _nodes(layer: Entry) -> Iterator[Any]:
    """The calls of a layer, in Keras 2's form or in Keras 3's."""
    nodes = layer.get("inbound_nodes")
    waiting = [*nodes] if isinstance(nodes, list) else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, list) and not any(isinstance(part, dict) for part in node):
            waiting += node
        else:
            yield node


def _trains(node: Any) -> bool:
    if isinstance(node, list):
        return any(isinstance(part, dict) and part.get("training") is True for part in node)
    arguments = node.get("kwargs") if isinstance(node, dict) else None
    return isinstance(arguments, dict) and arguments.get("training") is True


def _takes_statistics(entry: Entry) -> bool:
    return entry.get("class_name") in _STATISTICS
