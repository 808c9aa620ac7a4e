"""What is measured against: Grad-CAM and filter patterns as books and tutorials write them, in our own words."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from service.engine.arrays import Array


def grad_cam(network: keras.Model, layer: str, image: Array, class_index: int) -> Array:
    """`predict` for the scores, a sub-model of both outputs, an eager tape: all made anew for each picture."""
    batch = image[None]
    network.predict(batch, verbose=0)
    both = keras.Model(network.input, [network.get_layer(layer).output, network.output])
    with tf.GradientTape() as tape:
        maps, scores = both(batch, training=False)
        target = scores[:, class_index]
    gradients = tape.gradient(target, maps)
    weights = tf.reduce_mean(gradients, axis=(0, 1, 2))
    heatmap = tf.squeeze(maps[0] @ weights[..., tf.newaxis])
    found: Array = tf.maximum(heatmap, 0).numpy()
    return found


def feature_extractor(network: keras.Model, layer: str) -> keras.Model:
    return keras.Model(network.input, network.get_layer(layer).output)


def filter_pattern(extractor: keras.Model, filter_index: int, start: Array, steps: int) -> Array:
    """An eager loop over one filter from a canvas (h, w, c): the gradient over its root mean square, step 1."""
    canvas: Any = tf.constant(start[None])
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(canvas)
            answers = extractor(canvas)
            mean = tf.reduce_mean(answers[:, :, :, filter_index])
        gradient = tape.gradient(mean, canvas)
        gradient /= tf.sqrt(tf.reduce_mean(tf.square(gradient))) + 1e-5
        canvas += gradient
    found: Array = canvas[0].numpy()
    return found


def gray_noise(seed: int, side: int) -> Array:
    """(side, side, 3) float32, uniform in 128…148."""
    noise = np.random.default_rng(seed).uniform(0, 20, (side, side, 3))
    return np.asarray(noise + 128, np.float32)
