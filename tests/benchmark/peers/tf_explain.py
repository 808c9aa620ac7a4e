"""tf-explain: its two steps of Grad-CAM, unguided, without the picture that it draws of them."""

from typing import Any

from tf_explain.core.grad_cam import GradCAM

from tests.benchmark.peers.child import Task
from tests.benchmark.peers.keras_networks import noise_batch, open_network

PACKAGES = ("tf-explain", "tensorflow", "keras")


def grad_cam(function: str, weights: str, layer: str, class_index: int) -> Task:
    network = open_network(function, weights)

    def work(batch: Any) -> Any:
        maps, gradients = GradCAM.get_gradients_and_filters(network, batch, layer, class_index, use_guided_grads=False)
        (heatmap,) = GradCAM.generate_ponderated_output(maps, gradients)
        return heatmap.numpy().clip(0)

    return Task(noise_batch(network.input_shape[1:]), work)
