"""What positions of a layer really depend on, by eager gradients of a network whose weights are all positive.

Shares no code with `service.engine.keras`. Where a maximum or a gate would hide a pixel from one gradient, an average
or nothing stands in its place.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

L: Any = keras.layers
Support = NDArray[np.bool_]
# Of the greatest gradient: what is less is rounding.
_LEAST = 1e-5


def positive_twin(network: keras.Model) -> keras.Model:
    """The same layers with positive weights, neutral normalisation, and averages for maxima."""

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, L.MaxPooling2D):
            return L.AveragePooling2D.from_config(config)
        if "activation" in config and not isinstance(layer, L.Activation):
            config["activation"] = "linear"
        return type(layer).from_config(config)

    twin = keras.models.clone_model(network, clone_function=clone)
    for layer in twin.layers:
        for weight in layer.weights:
            if weight.name in ("beta", "moving_mean"):
                weight.assign(tf.zeros(weight.shape))
            elif weight.name in ("gamma", "moving_variance"):
                weight.assign(tf.ones(weight.shape))
            else:
                weight.assign(np.random.default_rng(1).uniform(0.5, 1.0, weight.shape))
    return twin


def find_support(
    twin: keras.Model, layer: str, size: tuple[int, int], *, upright: Callable[[Any], Any] = lambda maps: maps
) -> Support:
    """(h, w, H, W): which pixels of (H, W) each position of the layer's map depends on."""
    part = keras.Model(twin.inputs, twin.get_layer(layer).output)
    channels = twin.inputs[0].shape[-1]
    shape = upright(part(tf.ones((1, *size, channels)))).shape[1:3]
    places = [(row, column) for row in range(shape[0]) for column in range(shape[1])]
    pictures = tf.constant(np.random.default_rng(0).uniform(0.5, 1, (len(places), *size, channels)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        maps = tf.reduce_sum(upright(part(pictures, training=False)), axis=-1)
        # Picture i is looked at from place i.
        total = tf.reduce_sum(tf.gather_nd(maps, [(at, *place) for at, place in enumerate(places)]))
    gradients = tape.gradient(total, pictures)
    found = np.zeros((len(places), *size)) if gradients is None else np.abs(gradients.numpy()).sum(axis=-1)
    support = found > _LEAST * max(found.max(), 1e-30)
    return np.asarray(support.reshape(*shape, *size))


def spans_of(support: Support) -> list[list[tuple[tuple[int, int], tuple[int, int]] | None]]:
    """For each position, from where to where, down and across; None where it depends on nothing."""

    def span(pixels: Support) -> tuple[tuple[int, int], tuple[int, int]] | None:
        if not pixels.any():
            return None
        rows, columns = np.nonzero(pixels)
        return (int(rows.min()), int(rows.max()) + 1), (int(columns.min()), int(columns.max()) + 1)

    return [[span(pixels) for pixels in row] for row in support]
