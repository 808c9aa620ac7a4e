"""Captum on PyTorch: LayerGradCam, made once."""

import os
from typing import Any

import numpy as np
import torch
from captum.attr import LayerGradCam

from tests.benchmark.peers.child import Task
from tests.benchmark.peers.torch_networks import NETWORKS, load_weights

PACKAGES = ("captum", "torch")


def grad_cam(function: str, weights: str, layer: str, class_index: int) -> Task:
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network = NETWORKS[function]().eval()
    load_weights(network, weights)
    explainer = LayerGradCam(network, network.parts[layer])

    def prepare(number: int) -> Any:
        picture = np.random.default_rng(number).uniform(-1, 1, (224, 224, 3)).astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))[None])

    def work(batch: Any) -> Any:
        return explainer.attribute(batch, target=class_index, relu_attributions=True).detach().numpy()[0, 0]

    return Task(prepare, work)
