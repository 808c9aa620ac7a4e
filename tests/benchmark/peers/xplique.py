"""Xplique: the explainer is made once; it enlarges its map to the picture's size, which cannot be turned off."""

from typing import Any

import numpy as np
from xplique.attributions import GradCAM

from tests.benchmark.peers.child import Task
from tests.benchmark.peers.keras_networks import noise_batch, open_network

PACKAGES = ("xplique", "tensorflow", "keras")


def grad_cam(function: str, weights: str, layer: str, class_index: int) -> Task:
    network = open_network(function, weights)
    explainer = GradCAM(network, conv_layer=layer, batch_size=1)
    target = np.eye(network.output_shape[-1], dtype=np.float32)[[class_index]]

    def work(batch: Any) -> Any:
        return explainer.explain(batch, target).numpy()[0, ..., 0]

    return Task(noise_batch(network.input_shape[1:]), work)
