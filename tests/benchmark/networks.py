"""The networks that are measured, their weights random or from a file, and pictures to send through them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from service.composition.models import BUILT_IN_MODELS
from service.engine.activation_cache import ActivationCache
from service.engine.arrays import Array
from service.engine.images.decoding import ImageLimits
from service.engine.model import Model
from service.keras.compute.probe import KerasProbe
from service.keras.compute.tuning import Tuning
from service.keras.files.applications import load_application
from service.keras.files.loading import load_probe
from service.limits import Limits
from service.models.preprocessing import PRESETS, PreprocessingMode
from tests.oracle import NETWORKS

LIMITS = ImageLimits(max_bytes=2**24, max_pixels=10**7)
APPLICATIONS = {
    "mobilenetv2": "MobileNetV2",
    "resnet50": "ResNet50",
    "efficientnetb0": "EfficientNetB0",
    "vgg16": "VGG16",
}
PRESET: dict[str, PreprocessingMode] = {
    "mobilenetv2": "tf",
    "resnet50": "caffe",
    "efficientnetb0": "none",
    "vgg16": "caffe",
}
# Any class does, but all must explain the same one.
CLASS = 243


def names(test_data: Path) -> list[str]:
    """Those that can be measured here: `squeezenet` is a file of the test data."""
    file = test_data / "models" / NETWORKS["squeezenet"].file
    return [*APPLICATIONS, *(["squeezenet"] if file.exists() else []), "shapes"]


def open_probe(name: str, test_data: Path) -> KerasProbe:
    """As the service opens it with its default settings."""
    tuning = Tuning(activation_cache=ActivationCache(Limits().activation_cache_bytes))
    if name in APPLICATIONS:
        network = load_application(APPLICATIONS[name])._network
        _settle(network)
        probe = KerasProbe(network, tuning=tuning)
        probe.run_once()
        return probe
    if name == "shapes":
        return load_probe(next(BUILT_IN_MODELS.glob("shapes/*/model.keras")), tuning=tuning)
    return load_probe(test_data / "models" / NETWORKS[name].file, tuning=tuning)


def _settle(network: keras.Model) -> None:
    """Moments as training leaves them: at those of an untrained network TensorFlow leaves whole additions out."""
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(0, 0.1, layer.moving_mean.shape))
            layer.beta.assign(rng.normal(0, 0.1, layer.beta.shape))


def as_model(name: str, probe: KerasProbe) -> Model:
    return Model(name, "1", "0" * 64, probe, PRESETS[PRESET.get(name, "unit")])


def network_of(probe: KerasProbe) -> keras.Model:
    """The Keras model as it is, for what is measured beside the engine."""
    return probe._network


def plain_forward(network: keras.Model) -> Callable[[Array], Any]:
    """The floor: one compiled forward pass, from NumPy to NumPy."""
    compiled = tf.function(lambda images: network(images, training=False))
    return lambda images: compiled(tf.constant(images)).numpy()


def noise(probe: KerasProbe) -> Callable[[int], Array]:
    """Preprocessed pictures of random numbers, another for each number: the time does not depend on what they show."""
    shape = probe._network.input_shape[1:]
    return lambda number: np.random.default_rng(number).uniform(-1, 1, shape).astype(np.float32)
