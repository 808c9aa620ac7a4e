"""An oracle for class heat maps: eager GradientTape on a flat network, logits and weighting written out by hand.

Shares no code with `service.keras`: the networks are rebuilt flat with Keras's public interface, and pictures
are prepared straight from Pillow and NumPy. `load_model` alone goes through the service, for the tests to compare.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image, ImageOps

from service.engine.model import Model

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Network:
    """What is known of a file of the test data without looking at the service."""

    name: str
    file: str
    size: int
    mode: Literal["caffe", "tf"]
    layer: str
    path: str


NETWORKS = {
    network.name: network
    for network in (
        Network("squeezenet", "squeezenet_v1.1_imagenet.keras", 227, "caffe", "relu_conv10", "relu_conv10"),
        Network("mobilenet", "mobilenet_v2_imagenet.keras", 224, "tf", "out_relu", "out_relu"),
        Network(
            "teachable",
            "teachable_machine_catdog_nested_mnv2.keras",
            224,
            "tf",
            "out_relu",
            "sequential_1/model1/out_relu",
        ),
    )
}


@dataclass(frozen=True)
class Explanation:
    """The oracle's answer; `evidence` is the Grad-CAM map before its ReLU, float64."""

    scores: Floats
    logits: Floats
    activations: Floats
    gradients: Floats
    evidence: Floats

    @property
    def heatmap(self) -> Floats:
        return np.maximum(self.evidence, 0)


@dataclass(frozen=True)
class Oracle:
    """`trunk` gives [maps, features] for a batch, `tail` the logits for the features."""

    trunk: keras.Model
    tail: Callable[[Any], Any]

    def explain(self, image: Floats, class_index: int) -> Explanation:
        """Explain one class of (h, w, c), already in the network's own units."""
        with tf.GradientTape() as tape:
            batch = tf.constant(image[None], tf.float32)
            tape.watch(batch)
            maps, features = self.trunk(batch, training=False)
            logits = self.tail(features)
            target = logits[0, class_index]
        gradients = tape.gradient(target, maps)[0].numpy()
        activations = maps[0].numpy()
        return Explanation(
            softmax(logits[0].numpy()),
            logits[0].numpy(),
            activations,
            gradients,
            weigh(activations, gradients),
        )


def weigh(activations: Floats, gradients: Floats) -> Floats:
    """`sum_k mean_ij(g_k) A_k`, written out in float64."""
    weights = gradients.astype(np.float64).mean(axis=(0, 1))
    return np.einsum("hwc,c->hw", activations.astype(np.float64), weights)


def softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(exponentials / exponentials.sum())


def correlation(one: Floats, other: Floats) -> float:
    """Pearson's r; 1 where both are the same constant."""
    if np.ptp(one) == np.ptp(other) == 0:
        return float(np.allclose(one, other))
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def relative_error(value: Floats, reference: Floats) -> float:
    """The largest difference over the largest magnitude of the reference."""
    return float(np.abs(value - reference).max() / max(np.abs(reference).max(), 1e-30))


def flat_oracle(network: keras.Model, layer: str) -> Oracle:
    """Take apart a flat network that ends in Dense with a fused softmax, or in a Softmax layer."""
    maps = next(operation for operation in network.operations if operation.name == layer).output
    last = network.layers[-1]
    trunk = keras.Model(network.inputs, [maps, last.input])
    return Oracle(trunk, dense(last) if isinstance(last, keras.layers.Dense) else tf.identity)


def dense(layer: Any) -> Callable[[Any], Any]:
    """A Dense layer without its activation, from its weights."""
    kernel, *biases = (tf.constant(array) for array in layer.get_weights())
    return lambda features: features @ kernel + sum(biases)


def flatten_teachable(network: keras.Model) -> keras.Model:
    """Rebuild Sequential(Sequential(MobileNetV2, GAP), Sequential(Dense, Dense)) as one flat network."""
    trunk, head = network.layers
    backbone, _ = trunk.layers
    hidden, last = head.layers
    copies = [
        keras.layers.GlobalAveragePooling2D(name="pool"),
        keras.layers.Dense(hidden.units, activation="relu", name="hidden"),
        keras.layers.Dense(last.units, activation="softmax", use_bias=False, name="scores"),
    ]
    values = backbone.outputs[0]
    for copy in copies:
        values = copy(values)
    flat = keras.Model(backbone.inputs, values)
    copies[1].set_weights(hidden.get_weights())
    copies[2].set_weights(last.get_weights())
    return flat


def load_network(network: Network, test_data: Path) -> keras.Model:
    """The file as Keras gives it."""
    return keras.saving.load_model(test_data / "models" / network.file, compile=False)


def load_oracle(network: Network, test_data: Path) -> Oracle:
    """An oracle over a copy of the file's network that nobody else holds."""
    own = load_network(network, test_data)
    return flat_oracle(flatten_teachable(own) if network.name == "teachable" else own, network.layer)


def load_model(network: Network, test_data: Path) -> Model:
    """The file as the service loads it, with the preprocessing that its model.toml would name."""
    from service.keras.files.loading import load_probe
    from service.models.preprocessing import PRESETS

    probe = load_probe(test_data / "models" / network.file)
    return Model(network.name, "1", "0" * 64, probe, PRESETS[network.mode])


def read_photo(path: Path, network: Network) -> Floats:
    """(size, size, 3) float32 in the network's units."""
    with Image.open(path) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    pixels = np.asarray(upright.resize((network.size, network.size), Image.Resampling.BILINEAR), np.float32)
    if network.mode == "caffe":
        blue_first = pixels[..., ::-1]
        return np.asarray(blue_first - np.array([103.939, 116.779, 123.68], np.float32), np.float32)
    return np.asarray(pixels / 127.5 - 1, np.float32)


def snapshot(network: keras.Model) -> dict[str, Any]:
    """All that a careless engine could change: graph nodes, activations, weights."""
    operations = list(_operations(network))
    return {
        "nodes": [(o.name, len(o._inbound_nodes), len(o._outbound_nodes)) for o in operations],
        "activations": [getattr(o, "activation", None) for o in operations],
        "trainable": [getattr(o, "trainable", None) for o in operations],
        "weights": [weight.numpy().tobytes() for weight in network.weights],
    }


def _operations(network: Any) -> Any:
    for operation in getattr(network, "operations", None) or network.layers:
        yield operation
        if isinstance(operation, keras.Model):
            yield from _operations(operation)
