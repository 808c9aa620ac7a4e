"""A network of `keras.applications` with our weights, for the libraries that take Keras models."""

import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def open_network(function: str, weights: str, *, top: bool = True) -> keras.Model:
    """Ends in logits, as every library here advises. As many threads as ourselves."""
    tf.config.threading.set_intra_op_parallelism_threads(len(os.sched_getaffinity(0)))
    tf.config.threading.set_inter_op_parallelism_threads(1)
    network = getattr(keras.applications, function)(weights=None, include_top=top)
    with np.load(weights) as stored:
        network.set_weights([stored[key] for key in stored.files[: len(network.weights)]])
    if top:
        network.layers[-1].activation = keras.activations.linear
    return network


def noise_batch(shape: tuple[int, ...]) -> Callable[[int], Any]:
    """The pictures of `tests.benchmark.networks.noise`, as a batch of one."""
    return lambda number: np.random.default_rng(number).uniform(-1, 1, shape).astype(np.float32)[None]
