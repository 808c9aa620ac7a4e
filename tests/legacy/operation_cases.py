"""Arithmetic on tensors in Keras 2, which its files hold as functions of TensorFlow. Runs under Keras 2 alone."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tests.legacy.layer_cases import SHAPE, Case

keras = tf.keras
L = keras.layers
K = keras.backend
applications = keras.applications


def _on_pixels(calculate: Callable[[Any], Any]) -> Case:
    def make(_: str) -> Any:
        inputs = keras.Input(SHAPE)
        values = L.Conv2D(4, 3, activation="relu")(calculate(inputs))
        return keras.Model(inputs, L.Dense(4, activation="softmax")(L.GlobalAveragePooling2D()(values)))

    return make


def _on_maps(calculate: Callable[[Any], Any]) -> Case:
    def make(_: str) -> Any:
        inputs = keras.Input(SHAPE)
        values = calculate(L.Conv2D(4, 3)(L.Rescaling(1 / 255.0)(inputs)))
        return keras.Model(inputs, L.Dense(4, activation="softmax")(_vector(values)))

    return make


def _on_two(calculate: Callable[[Any, Any], Any]) -> Case:
    def make(_: str) -> Any:
        inputs = keras.Input(SHAPE)
        values = L.Rescaling(1 / 255.0)(inputs)
        joined = calculate(L.Conv2D(4, 3)(values), L.Conv2D(4, 3)(values))
        return keras.Model(inputs, L.Dense(4, activation="softmax")(_vector(joined)))

    return make


def _vector(values: Any) -> Any:
    if len(values.shape) == 4 and values.shape[1] > 1:
        return L.GlobalAveragePooling2D()(values)
    return values if len(values.shape) == 2 else L.Flatten()(values)


def _swapped(calculate: Callable[[Any], Any]) -> Case:
    """On the output of a nested model, which Keras 2 calls by number 1."""

    def make(_: str) -> Any:
        inputs = keras.Input(SHAPE)
        body = keras.Sequential([L.Conv2D(4, 3, input_shape=SHAPE), L.BatchNormalization()], name="body")
        return keras.Model(inputs, L.Dense(4, activation="softmax")(_vector(calculate(body(inputs)))))

    return make


def _standardise(x: Any) -> Any:
    axes = [1, 2, 3]
    return (x - tf.reduce_mean(x, axis=axes, keepdims=True)) / tf.math.reduce_std(x, axis=axes, keepdims=True)


def _gated(x: Any) -> Any:
    one, two = tf.split(x, 2, axis=-1)
    return one * tf.sigmoid(two)


CASES: dict[str, Case] = {
    "ops-tf-mode": _on_pixels(lambda x: x / 127.5 - 1.0),
    "ops-scale": _on_pixels(lambda x: x * (1 / 255.0) + 0.5),
    "ops-number-first": _on_pixels(lambda x: 1.0 - 2.0 / (x + 1.0)),
    "ops-negative": _on_pixels(lambda x: -x / 255.0),
    "ops-caffe-mode": _on_pixels(applications.vgg16.preprocess_input),
    "ops-torch-mode": _on_pixels(applications.densenet.preprocess_input),
    "ops-mobilenet": _on_pixels(applications.mobilenet.preprocess_input),
    "ops-bgr": _on_pixels(lambda x: x[..., ::-1] / 255.0),
    "ops-crop": _on_pixels(lambda x: x[:, 2:-3, 1:40:2, :] / 255.0),
    "ops-cast": _on_pixels(lambda x: tf.cast(x, tf.float32) / 255.0),
    "ops-resize": _on_pixels(lambda x: tf.image.resize(x, (24, 30)) / 255.0),
    "ops-resize-nearest": _on_pixels(lambda x: tf.image.resize(x, [24, 30], method="nearest") / 255.0),
    "ops-power": _on_maps(lambda x: x**2),
    "ops-hard-swish": _on_maps(lambda x: x * tf.nn.relu6(x + 3.0) / 6.0),
    "ops-swish": _on_maps(lambda x: x * tf.sigmoid(x)),
    "ops-silu": _on_maps(tf.nn.silu),
    "ops-swish-beta": _on_maps(lambda x: tf.nn.silu(x, beta=1.5)),
    "ops-relu": _on_maps(tf.nn.relu),
    "ops-leaky-relu": _on_maps(lambda x: tf.nn.leaky_relu(x, alpha=0.1)),
    "ops-mish": _on_maps(lambda x: x * tf.tanh(tf.math.softplus(x))),
    "ops-gelu": _on_maps(lambda x: tf.nn.gelu(x, approximate=True)),
    "ops-elu": _on_maps(lambda x: tf.nn.selu(tf.nn.elu(x))),
    "ops-softmax": _on_maps(lambda x: tf.nn.softmax(x, axis=-1)),
    "ops-exp-log": _on_maps(lambda x: tf.math.log(tf.exp(x) + 1.0)),
    "ops-sqrt": _on_maps(lambda x: tf.sqrt(tf.abs(x)) + tf.square(x)),
    "ops-rsqrt": _on_maps(lambda x: tf.math.rsqrt(tf.square(x) + 1.0)),
    "ops-clip": _on_maps(lambda x: tf.clip_by_value(x, -0.5, 0.5)),
    "ops-keras-relu": _on_maps(lambda x: K.relu(x, max_value=6.0)),
    "ops-keras-clip": _on_maps(lambda x: K.clip(x, -0.5, 0.5)),
    "ops-keras-hard-sigmoid": _on_maps(K.hard_sigmoid),
    "ops-maximum-number": _on_maps(lambda x: tf.maximum(x, 0.1)),
    "ops-pool": _on_maps(lambda x: tf.reduce_mean(x, axis=[1, 2])),
    "ops-keras-mean": _on_maps(lambda x: K.mean(x, axis=[1, 2])),
    "ops-max-pool": _on_maps(lambda x: tf.reduce_max(x, axis=[1, 2], keepdims=True)),
    "ops-sum": _on_maps(lambda x: tf.reduce_sum(x, axis=-1)),
    "ops-standardise": _on_maps(_standardise),
    "ops-variance": _on_maps(lambda x: tf.math.reduce_variance(x, axis=[1, 2])),
    "ops-reshape": _on_maps(lambda x: tf.reshape(x, [-1, 30 * 46, 4])),
    "ops-transpose": _on_maps(lambda x: tf.transpose(x, [0, 2, 1, 3])),
    "ops-expand": _on_maps(lambda x: tf.squeeze(tf.expand_dims(x, 1), axis=1)),
    "ops-normalise": _on_maps(lambda x: tf.math.l2_normalize(x, axis=-1)),
    "ops-pad": _on_maps(lambda x: tf.pad(x, [[0, 0], [1, 1], [2, 2], [0, 0]], mode="REFLECT")),
    "ops-tile": _on_maps(lambda x: tf.tile(x, [1, 1, 1, 2])),
    "ops-repeat": _on_maps(lambda x: tf.repeat(x, 2, axis=1)),
    "ops-reverse": _on_maps(lambda x: tf.reverse(x, axis=[1])),
    "ops-depth-to-space": _on_maps(lambda x: tf.nn.depth_to_space(x, 2)),
    "ops-split": _on_maps(_gated),
    "ops-add": _on_two(lambda x, y: x + y),
    "ops-subtract": _on_two(lambda x, y: x - 2.0 * y),
    "ops-multiply": _on_two(lambda x, y: x * y),
    "ops-divide": _on_two(lambda x, y: x / (tf.abs(y) + 1.0)),
    "ops-concat": _on_two(lambda x, y: tf.concat([x, y], axis=-1)),
    "ops-stack": _on_two(lambda x, y: tf.stack([x, y], axis=1)),
    "ops-maximum": _on_two(tf.maximum),
    "ops-matmul": _on_two(lambda x, y: tf.matmul(x, y, transpose_b=True)),
    "ops-einsum": _on_two(lambda x, y: tf.einsum("bhwc,bhwd->bcd", x, y)),
    "ops-random": _on_maps(lambda x: x + 0.0 * tf.random.normal(tf.shape(x))),
    "ops-nested": _swapped(lambda x: 1.0 + x * 2.0),
    "ops-nested-twice": _swapped(lambda x: x * tf.sigmoid(x)),
}
