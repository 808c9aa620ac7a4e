"""Grad-CAM in the engine over a plain compiled forward pass of the same network, measured in turns."""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from service.engine.keras.probe import KerasProbe
from service.engine.methods.grad_cam import GradCamParams, grad_cam

WARM_UP = 3


def measure_ratio(probe: KerasProbe, rounds: int) -> dict[str, Any]:
    """Medians in milliseconds, and their ratio; interleaved, so that a busy machine slows both."""
    image = noise(probe)
    forward = plain_forward(probe._network)
    batch = tf.constant(image[None])
    params = GradCamParams()
    contenders: dict[str, Callable[[], Any]] = {
        "forward_ms": lambda: forward(batch).numpy(),
        "scores_ms": lambda: probe.scores(image),
        "grad_cam_ms": lambda: grad_cam(probe, image, params),
    }
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(WARM_UP + rounds):
        for name, contender in contenders.items():
            start = perf_counter()
            contender()
            if number >= WARM_UP:
                taken[name].append((perf_counter() - start) * 1000)
    medians = {name: median(times) for name, times in taken.items()}
    forward_ms = medians["forward_ms"]
    return medians | {
        "rounds": rounds,
        "grad_cam_over_forward": medians["grad_cam_ms"] / forward_ms,
        "scores_over_forward": medians["scores_ms"] / forward_ms,
    }


def plain_forward(network: keras.Model) -> Callable[[Any], Any]:
    compiled: Callable[[Any], Any] = tf.function(lambda images: network(images, training=False))
    return compiled


def random_vgg16() -> KerasProbe:
    keras.utils.set_random_seed(1)
    return KerasProbe(keras.applications.VGG16(weights=None))


def noise(probe: KerasProbe) -> Any:
    """A preprocessed image of random numbers: the time does not depend on what it shows."""
    shape = probe._network.input_shape[1:]
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
