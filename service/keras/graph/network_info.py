"""A network examined as a whole: the facts of its graph, and over them what its owner has overrides."""

import keras
import numpy as np

from service.engine.ports.network_info import NetworkInfo
from service.engine.ports.overrides import Overrides
from service.errors import LayerNotFoundError, ModelFailedError
from service.keras.graph.head import Head, find_default_layers, find_doubt, is_between_0_and_1
from service.keras.graph.layer_info import class_count, guess_task, image_shape, list_layers, target_kind, unit_count
from service.keras.graph.lookup import find_layer, find_spatial_layer
from service.keras.graph.replay import Call, Wiring


def examine(network: keras.Model, wiring: Wiring, head: Head, overrides: Overrides) -> NetworkInfo:
    """All but repairs and the code. Raises ModelFailedError, or LayerNotFoundError for an unknown default layer."""
    task, default_layer = overrides.task, overrides.default_layer
    units = unit_count(wiring.outputs[0]) if len(wiring.outputs) == 1 else None
    if task in ("classification", "binary", "regression") and units is None:
        raise ModelFailedError(f"model.toml: task: '{task}' needs a network with one vector as its output")
    if task == "binary" and units == 1 and head.activation == "other" and not is_between_0_and_1(head.value.call):
        raise ModelFailedError(
            "model.toml: task: 'binary' needs one output between 0 and 1, such as a sigmoid's: "
            f"'{head.value.call.site.path}' gives others; state task = \"regression\""
        )
    task = task or guess_task(wiring, head)
    found = [find_spatial_layer(wiring, default_layer)] if default_layer else find_default_layers(wiring.outputs[0])
    return NetworkInfo(
        input_shape=image_shape(wiring),
        task=task,
        classes=class_count(task, units),
        target_kind=target_kind(task, head),
        default_layer=found[0].site.path if found else None,
        logits=head.describe() if class_count(task, units) else None,
        other_layers=tuple(call.site.path for call in found[1:]),
        doubt=find_doubt(wiring, found[0]) if found else None,
        layers=tuple(list_layers(wiring)),
        parameters=network.count_params(),
        trainable_parameters=sum(int(np.prod(weight.shape)) for weight in network.trainable_weights),
        inputs=tuple(value.shape[1:] for value in wiring.inputs),
        outputs=tuple(value.shape[1:] for value in wiring.outputs),
    )


def find_latent_layer(wiring: Wiring, overrides: Overrides) -> Call | None:
    """The one that its owner named; None where nobody did. Raises ModelFailedError."""
    if overrides.latent_layer is None:
        return None
    try:
        return find_layer(wiring, overrides.latent_layer)
    except LayerNotFoundError as error:
        raise ModelFailedError(f"model.toml: latent_layer: {error.detail}") from error
