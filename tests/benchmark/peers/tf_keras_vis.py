"""tf-keras-vis: its objects are made once, as its documentation does; Grad-CAM stays at the layer's resolution."""

from typing import Any

import keras
import numpy as np
from tf_keras_vis.activation_maximization import ActivationMaximization
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.utils.scores import CategoricalScore

from tests.benchmark.peers.child import Task
from tests.benchmark.peers.keras_networks import noise_batch, open_network

PACKAGES = ("tf-keras-vis", "tensorflow", "keras")


def grad_cam(function: str, weights: str, layer: str, class_index: int) -> Task:
    network = open_network(function, weights)
    explainer = Gradcam(network, clone=False)
    score = CategoricalScore(class_index)

    def work(batch: Any) -> Any:
        return np.asarray(explainer(score, batch, penultimate_layer=layer, expand_cam=False, normalize_cam=False))[0]

    return Task(noise_batch(network.input_shape[1:]), work)


def filter_pattern(function: str, weights: str, layer: str, side: int, steps: int) -> Task:
    """Without its regularizers and jitter, which nobody else here has."""
    network = open_network(function, weights, top=False)
    maximization = ActivationMaximization(keras.Model(network.inputs, network.get_layer(layer).output), clone=False)

    def prepare(number: int) -> Any:
        noise = np.random.default_rng(number).uniform(0, 20, (1, side, side, 3)) + 128
        return number, noise.astype(np.float32)

    def work(given: Any) -> Any:
        number, start = given
        return maximization(
            CategoricalScore(number), seed_input=start, steps=steps, input_modifiers=[], regularizers=[]
        )

    return Task(prepare, work)
