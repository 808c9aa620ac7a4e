"""The bias of layers with channels first, added to channels.

Keras 3.15 on TensorFlow takes a bias for that of channels last where the maps have as many columns as channels, and
adds it along the width: https://github.com/keras-team/keras, `backend/tensorflow/numpy.py`, `add`. A layer's numbers
would depend on the size of the picture.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from service.keras.graph.axes.kinds import is_keras_own


def has_first_bias(layer: keras.Operation) -> bool:
    """Whether the layer is such a one: a convolution of whatever kind."""
    return (
        isinstance(layer, keras.layers.Layer)
        and is_keras_own(layer)
        and getattr(layer, "data_format", None) == "channels_first"
        and bool(getattr(layer, "use_bias", False))
        and hasattr(layer, "kernel_size")
    )


def compute_with_first_bias(
    layer: keras.Layer, *args: object, activation: Callable[[tf.Tensor], tf.Tensor] | None, **kwargs: object
) -> tf.Tensor:
    """What the layer computes, with another last activation or None; the layer is not touched."""
    twin = object.__new__(type(layer))
    twin.__dict__.update(layer.__dict__, activation=None, use_bias=False)
    sums = twin(*args, **kwargs)
    bias = tf.reshape(tf.cast(layer.bias, sums.dtype), [1, -1] + [1] * (sums.shape.rank - 2))
    sums = tf.add(sums, bias)
    return sums if activation is None else activation(sums)
