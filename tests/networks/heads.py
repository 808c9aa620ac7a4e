"""How a grown network ends: from maps to scores, with the logits by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.networks.growth import Growth, grow

L: Any = keras.layers
CLASSES = 4


@dataclass(frozen=True)
class Grown:
    """A network with all that is known of it. `to_logits` takes the tensor that `features` stands for."""

    seed: int
    network: Any
    growth: Growth
    features: Any
    to_logits: Callable[[Any], Any]
    activation: str


def build(seed: int) -> Grown:
    """The network of a seed; one in eight is of double precision."""
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy("float64" if seed % 8 == 7 else "float32")
    try:
        return _build(seed)
    finally:
        keras.config.set_dtype_policy("float32")


def _build(seed: int) -> Grown:
    growth, inputs = grow(seed)
    vector = _squeeze(growth)
    if growth.rng.random() < 0.3:
        vector = L.Dense(6, activation="tanh")(vector)
    activation = str(growth.choose("softmax", "softmax", "sigmoid", "linear"))
    units = int(growth.choose(1, CLASSES)) if activation == "sigmoid" else CLASSES
    last = L.Dense(units, activation=activation)
    outputs = last(vector)
    if activation == "softmax" and growth.rng.random() < 0.5:
        last = L.Dense(units)
        outputs = L.Softmax()(last(vector))
    network = keras.Model(inputs, outputs)
    _spread(network, growth.rng)
    return Grown(seed, network, growth, vector, lambda features: features @ last.kernel + last.bias, activation)


def _squeeze(growth: Growth) -> Any:
    """Give up space, in one of the usual ways."""
    maps, rank = growth.maps, len(growth.maps.shape)
    form = growth.form if growth.is_regular else "channels_last"
    way = growth.choose("average", "greatest", "flat", "pooled", "steps", "tokens")
    growth.kinds.append(way)
    if way == "flat" or rank != 4:
        return L.Flatten(data_format=form)(maps)
    if way == "pooled":
        return L.Flatten()(L.MaxPooling2D(2, padding="same", data_format=form)(maps))
    if way == "greatest":
        return L.GlobalMaxPooling2D(data_format=form)(maps)
    if way == "steps":
        return L.LSTM(4)(L.Reshape((maps.shape[1], -1))(maps))
    if way == "tokens":
        tokens = L.Reshape((-1, maps.shape[-1]))(maps)
        return L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 3)(tokens, tokens))
    return L.GlobalAveragePooling2D(data_format=form)(maps)


def _spread(network: Any, rng: np.random.Generator) -> None:
    """Weights of both signs that keep numbers of a size, and moments that a batch of one picture does not have."""
    for weight in network.weights:
        if weight.name == "moving_variance":
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) < 2:
            weight.assign(rng.normal(1.0 if weight.name == "gamma" else 0.0, 0.2, weight.shape))
        elif weight.dtype == tf.float32 or "float" in str(weight.dtype):
            weight.assign(rng.normal(0, 1.2 / np.sqrt(np.prod(weight.shape[:-1])), weight.shape))
