"""The demo's autoencoder: encoder and decoder in one network. Knows no glyphs and no files."""

from typing import Any

from keras import Input, Model, initializers, layers


def build_network() -> Any:
    """The untrained network; its input is (28, 28, 1) in [0, 1], white on black, and its output the same again.

    `hidden` is wired straight to the pixels, so that each unit's weights are a picture; `latent` is the latent, two
    numbers of any size.
    """
    x = inputs = Input((28, 28, 1), name="image")
    x = layers.Flatten(name="pixels")(x)
    # Begun small, so that what a unit learns stands out from what it began with.
    faint = initializers.RandomNormal(stddev=0.01)
    x = layers.Dense(32, activation="tanh", kernel_initializer=faint, name="hidden")(x)
    x = layers.Dense(64, activation="relu", name="encoder")(x)
    x = layers.Dense(2, name="latent")(x)
    x = layers.Dense(64, activation="relu", name="decoder1")(x)
    x = layers.Dense(32, activation="relu", name="decoder2")(x)
    x = layers.Dense(28 * 28, activation="sigmoid", name="decoded")(x)
    return Model(inputs, layers.Reshape((28, 28, 1), name="glyph")(x), name="glyphs")
