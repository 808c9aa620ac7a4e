"""An encoder and its decoder, two files, as the one network that they are."""

import keras

from service.errors import ModelFailedError
from service.keras.graph.replay import functional, wire


def join(encoder: keras.Model, decoder: keras.Model, latent_layer: str | None) -> tuple[keras.Model, str]:
    """A new network of both, and the path of the layer that holds the latent.

    The latent is the encoder's output, of several the first, or that of `latent_layer`. Neither network is changed: the
    decoder is called under a name of its own. Raises ModelFailedError where they do not fit.
    """
    graph, half = functional(encoder), functional(decoder)
    if graph is None or half is None:
        raise ModelFailedError("model.toml: decoder: both networks have to be Functional or Sequential models")
    paths = [value.call.site.path for value in wire(encoder).outputs]
    place = _choose(paths, latent_layer)
    latent = graph.outputs[place]
    _require_fit(latent, graph, half)
    name = "decoder"
    while any(operation.name == name for operation in graph.operations):
        name += "_"
    wrapped = keras.Model(half.inputs, half.outputs, name=name)
    return keras.Model(graph.inputs, wrapped(latent), name=encoder.name), paths[place]


def _choose(paths: list[str], latent_layer: str | None) -> int:
    if latent_layer is None:
        return 0
    if latent_layer not in paths:
        raise ModelFailedError(
            f"model.toml: latent_layer: '{latent_layer}' is no output of the encoder; its outputs: {', '.join(paths)}"
        )
    return paths.index(latent_layer)


def _require_fit(latent: keras.KerasTensor, encoder: keras.Model, decoder: keras.Model) -> None:
    trouble = None
    if len(decoder.inputs) != 1 or len(decoder.outputs) != 1:
        trouble = f"it has {len(decoder.inputs)} inputs and {len(decoder.outputs)} outputs instead of one each"
    elif tuple(decoder.inputs[0].shape[1:]) != tuple(latent.shape[1:]):
        trouble = f"it takes {tuple(decoder.inputs[0].shape[1:])}, but the encoder gives {tuple(latent.shape[1:])}"
    elif tuple(decoder.outputs[0].shape[1:]) != tuple(encoder.inputs[0].shape[1:]):
        trouble = (
            f"it decodes {tuple(decoder.outputs[0].shape[1:])}, but pictures of {tuple(encoder.inputs[0].shape[1:])} "
            "go into the encoder"
        )
    if trouble:
        raise ModelFailedError(f"model.toml: decoder: it does not fit the encoder: {trouble}")
