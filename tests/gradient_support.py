"""What positions of a layer really depend on, by eager gradients of a network whose weights are all positive.

Shares no code with `service.keras`. Where a maximum or a gate would hide a pixel from one gradient, an average
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
# Of the greatest gradient of a position: what is less is rounding.
_LEAST = 1e-6
_NEUTRAL = (
    *(L.Activation, L.ReLU, L.LeakyReLU, L.ELU, L.PReLU, L.Softmax),
    *(L.BatchNormalization, L.LayerNormalization, L.UnitNormalization, L.GroupNormalization),
)


class Passing(L.Layer):
    """Its input, of several the first, in the place of any layer."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return inputs[0] if isinstance(inputs, list | tuple) else inputs


def positive_twin(network: keras.Model) -> keras.Model:
    """The same layers with positive weights, without normalisation and activations, and averages for maxima.

    A layer whose name begins with `scaled` lets its first input through.
    """

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name.startswith("scaled") or isinstance(layer, _NEUTRAL):
            return Passing(name=layer.name)
        if isinstance(layer, L.Multiply):
            # A factor that is zero, as where a map was padded, would hide what the other one sees.
            return L.Add(name=layer.name)
        if isinstance(layer, L.MaxPooling2D):
            return L.AveragePooling2D.from_config(config)
        if "activation" in config:
            config["activation"] = "linear"
        return type(layer).from_config(config)

    twin = keras.models.clone_model(network, clone_function=clone, recursive=True)
    for weight in twin.weights:
        weight.assign(_positive(weight.shape))
    return twin


def _positive(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The edges of a kernel's window weigh most: what is far off is reached through few of them."""
    values = np.random.default_rng(1).uniform(0.5, 1.0, shape)
    if len(shape) == 4:
        for axis in (0, 1):
            values[(slice(None),) * axis + ([0, -1],)] *= 3.0
    return values


def find_support(
    twin: keras.Model, size: tuple[int, int], *, upright: Callable[[Any], Any] = lambda maps: maps
) -> Support:
    """(h, w, H, W): which pixels of (H, W) each position of the maps that come out depends on."""
    channels = twin.inputs[0].shape[-1]
    shape = upright(twin(tf.ones((1, *size, channels)))).shape[1:3]
    places = [(row, column) for row in range(shape[0]) for column in range(shape[1])]
    pictures = tf.constant(np.random.default_rng(0).uniform(0.5, 1, (len(places), *size, channels)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        maps = tf.reduce_sum(upright(twin(pictures, training=False)), axis=-1)
        # Picture i is looked at from place i.
        total = tf.reduce_sum(tf.gather_nd(maps, [(at, *place) for at, place in enumerate(places)]))
    gradients = tape.gradient(total, pictures)
    found = np.zeros((len(places), *size)) if gradients is None else np.abs(gradients.numpy()).sum(axis=-1)
    support = found > _LEAST * np.maximum(found.max(axis=(1, 2), keepdims=True), 1e-30)
    return np.asarray(support.reshape(*shape, *size))


def spans_of(support: Support) -> list[list[tuple[tuple[int, int], tuple[int, int]] | None]]:
    """For each position, from where to where, down and across; None where it depends on nothing."""

    def span(pixels: Support) -> tuple[tuple[int, int], tuple[int, int]] | None:
        if not pixels.any():
            return None
        rows, columns = np.nonzero(pixels)
        return (int(rows.min()), int(rows.max()) + 1), (int(columns.min()), int(columns.max()) + 1)

    return [[span(pixels) for pixels in row] for row in support]
