"""Layers whose answers would not be the picture's alone: called with `training=True`, or with states that are kept.

BatchNormalization then takes the statistics of the picture itself; this service asks every layer without training. A
stateful layer goes on where the picture before ended. Imports no Keras.
"""

from collections.abc import Iterator
from typing import Final

from service.errors import ModelFailedError
from service.keras.files.entries import Entry, config_of, layers_of, name_of, walk

_STATISTICS: Final = ("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization")


def require_inference(config: Entry) -> None:
    """Raise ModelFailedError, with the layer's name, where statistics or states are taken of what is being served."""
    for entry in walk(config):
        if config_of(entry).get("stateful") is True:
            raise ModelFailedError(
                f"layer '{name_of(entry)}' is stateful, so that its answer depends on the pictures before: set "
                "stateful=False and save the model again"
            )
        for layer in layers_of(entry):
            if any(_trains(node) for node in _nodes(layer)) and any(_takes_statistics(part) for part in walk(layer)):
                raise ModelFailedError(
                    f"layer '{name_of(layer)}' is called with training=True, so that each picture is normalised by "
                    "its own statistics: build the network without it and save the model again"
                )


def _nodes(layer: Entry) -> Iterator[object]:
    """The calls of a layer, in Keras 2's form or in Keras 3's."""
    nodes = layer.get("inbound_nodes")
    waiting = [*nodes] if isinstance(nodes, list) else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, list) and not any(isinstance(part, dict) for part in node):
            waiting += node
        else:
            yield node


def _trains(node: object) -> bool:
    if isinstance(node, list):
        return any(isinstance(part, dict) and part.get("training") is True for part in node)
    arguments = node.get("kwargs") if isinstance(node, dict) else None
    return isinstance(arguments, dict) and arguments.get("training") is True


def _takes_statistics(entry: Entry) -> bool:
    return entry.get("class_name") in _STATISTICS
