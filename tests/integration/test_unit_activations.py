"""Unit activations and receptive fields of real networks, as NumPy and gradients have them."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from service.errors import LayerNotFoundError
from service.keras.compute.probe import KerasProbe

L: Any = keras.layers


def _network(size: int | None = 33) -> keras.Model:
    """Of everything that moves positions: padding, strides, dilation, pooling, a branch, something transposed."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((size, size, 3))
    x = L.ZeroPadding2D(((2, 1), (0, 3)), name="padded")(x)
    x = L.Conv2D(4, 5, strides=2, activation="relu", name="first")(x)
    side = L.Conv2D(4, 1, padding="same", name="side")(x)
    x = L.DepthwiseConv2D(3, padding="same", name="deep")(x)
    x = L.Add(name="sum")([x, side])
    x = L.MaxPooling2D(2, name="pooled")(x)
    x = L.Conv2D(6, 3, dilation_rate=2, padding="same", name="dilated")(x)
    x = L.BatchNormalization(name="normal")(x)
    x = L.Conv2DTranspose(5, 4, strides=2, padding="same", name="wider")(x)
    x = L.Conv2D(5, 3, padding="same", strides=2, name="last")(x)
    x = L.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(inputs, L.Dense(3, name="scores")(x))


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return _network()


@pytest.mark.parametrize("layer", ["first", "sum", "pooled", "wider", "last", "mean", "scores"])
def test_unit_activations_are_those_of_numpy_when_a_layer_is_asked(network: keras.Model, layer: str):
    images = np.random.default_rng(0).normal(size=(5, 33, 33, 3)).astype(np.float32)
    answers = keras.Model(network.input, network.get_layer(layer).output).predict(images, verbose=0)
    found = KerasProbe(network).unit_activations(images, layer)
    flat = answers.reshape(5, -1, answers.shape[-1])
    assert (found.layer, found.shape) == (layer, answers.shape[1:-1])
    np.testing.assert_allclose(found.mean, flat.mean(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.greatest, flat.max(axis=1), rtol=1e-4, atol=1e-5)
    at_place = np.take_along_axis(flat, found.place[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(at_place, flat.max(axis=1), rtol=1e-4, atol=1e-5)


def test_layer_is_refused_when_it_does_not_exist(network: keras.Model):
    with pytest.raises(LayerNotFoundError):
        KerasProbe(network).unit_activations(np.zeros((1, 33, 33, 3), np.float32), "nowhere")
    with pytest.raises(LayerNotFoundError):
        KerasProbe(network).receptive_field("nowhere", (33, 33))


@pytest.mark.parametrize(
    "layer", ["padded", "first", "side", "deep", "sum", "pooled", "dilated", "normal", "wider", "last"]
)
def test_receptive_field_is_where_gradients_are_when_arithmetic_has_no_network(network: keras.Model, layer: str):
    field = KerasProbe(network).receptive_field(layer, (33, 33))
    assert field is not None
    top, left, bottom, right = field.at(2, 3) or (0, 0, 0, 0)
    assert [(max(top, 0), min(bottom, 33)), (max(left, 0), min(right, 33))] == _touched(network, layer, (2, 3))


def test_receptive_field_reaches_over_the_border_when_zeros_are_put_there(network: keras.Model):
    field = KerasProbe(network).receptive_field("deep", (33, 33))
    assert field is not None
    # Two rows above and five columns for the first position of `first`, which is the second that `deep` looks at.
    assert field.at(0, 0) == (-4, -2, 5, 7)


def test_receptive_field_is_unknown_when_there_is_no_space(network: keras.Model):
    probe = KerasProbe(network)
    assert probe.receptive_field("mean", (33, 33)) is None
    assert probe.receptive_field("scores", (33, 33)) is None
    assert KerasProbe(_network(None)).receptive_field("last", (33, 33)) is not None


def _touched(network: keras.Model, layer: str, place: tuple[int, int]) -> list[tuple[int, int]]:
    """From where to where, down and across, pixels matter for one position; linear paths all count."""
    clone = keras.models.clone_model(network)
    for weights in clone.weights:
        weights.assign(tf.random.stateless_uniform(weights.shape, (1, 2), 0.1, 1.0))
    part = keras.Model(clone.input, clone.get_layer(layer).output)
    touched = np.zeros((33, 33), bool)
    # The maximum of a window passes gradients to one of its places only: several pictures reach all of them.
    for seed in range(24):
        image = tf.constant(np.random.default_rng(seed).random((1, 33, 33, 3), np.float32))
        with tf.GradientTape() as tape:
            tape.watch(image)
            value = tf.reduce_sum(part(image)[0, place[0], place[1]])
        touched |= tape.gradient(value, image).numpy()[0].any(axis=-1)
    return [(int(found.min()), int(found.max()) + 1) for found in np.nonzero(touched)]
