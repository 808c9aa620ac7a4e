"""Numbers outside of what is usual: NaN, half precision, outputs that are no probabilities, inputs of whole numbers."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from service.engine.arrays import Array
from service.engine.ports.ascent import Ascent, Canvas, FilterMeans, Schedule
from service.engine.ports.overrides import Overrides
from service.errors import ModelFailedError, NotFiniteError
from service.keras.compute.probe import KerasProbe
from service.keras.files.loading import load_probe

Save = Callable[[keras.Model], Path]
IMAGE = np.random.default_rng(1).random((32, 48, 3)).astype(np.float32)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(network: keras.Model) -> Path:
        file = tmp_path / "model.keras"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            network.save(file)
        return file

    return write


def _network(*head: Any, dtype: str = "float32") -> keras.Sequential:
    network = keras.Sequential(
        [
            keras.Input((32, 48, 3), dtype=dtype),
            layers.Rescaling(1.0),
            layers.Conv2D(8, 3, activation="relu", name="maps"),
            layers.GlobalAveragePooling2D(),
            *head,
        ]
    )
    rng = np.random.default_rng(3)
    for weight in network.weights:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    return network


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_layer_is_named_when_its_weights_are_not_finite(save: Save, value: float):
    network = _network(layers.Dense(4, activation="softmax"))
    kernel, bias = network.get_layer("maps").get_weights()
    kernel[0, 0, 0, 3] = value
    network.get_layer("maps").set_weights([kernel, bias])
    with pytest.raises(ModelFailedError, match=r"weights '[^']*maps/kernel' hold NaN or infinity"):
        load_probe(save(network))


def test_discretization_compares_what_enters_it_when_its_own_dtype_is_whole(save: Save):
    bins = layers.Discretization([0.2, 0.6], dtype="int64")
    network = _network(bins, layers.Embedding(3, 5), layers.Flatten(), layers.Dense(4, "softmax"))
    np.testing.assert_allclose(load_probe(save(network)).scores(IMAGE).values, network(IMAGE[None])[0], atol=1e-6)


QUESTIONS: dict[str, Callable[[KerasProbe, Array], Any]] = {
    "channel_statistics": lambda probe, images: probe.channel_statistics(
        images, ["large"], np.ones((len(images), 2, 8), np.float32)
    ),
    "unit_activations": lambda probe, images: probe.unit_activations(images, "large"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_answer_is_refused_when_a_layer_overflows(save: Save, question: str):
    network = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Rescaling(1e30), layers.Rescaling(1e30, name="large"), layers.Flatten()]
    )
    probe = load_probe(save(network))
    with pytest.raises(NotFiniteError, match="'large'"):
        QUESTIONS[question](probe, np.ones((2, 8, 8, 3), np.float32))


def test_output_itself_is_explained_when_it_is_no_probability(save: Save):
    network = _network(layers.Dense(3, activation="tanh"))
    network.layers[-1].bias.assign([-1.0, -2.0, -3.0])
    probe = load_probe(save(network), Overrides(task="classification"))
    assert probe.network_info.target_kind == "value"
    assert "no probabilities" in str(probe.network_info.logits)
    seen = probe.activations_and_gradients(IMAGE, class_index=1)
    with tf.GradientTape() as tape:
        maps = network.layers[1](network.layers[0](IMAGE[None]))
        tape.watch(maps)
        scores = network.layers[3](network.layers[2](maps))
        value = scores[0, 1]
    assert value < 0
    np.testing.assert_allclose(seen.gradients, tape.gradient(value, maps)[0], atol=1e-8)
    np.testing.assert_allclose(seen.target.value, value, atol=1e-6)
    np.testing.assert_allclose(seen.scores.values, scores[0], atol=1e-6)


@pytest.mark.parametrize(("activation", "loads"), [("tanh", False), ("relu", False), ("hard_sigmoid", True)])
def test_two_classes_are_refused_when_the_output_is_no_probability(save: Save, activation: str, *, loads: bool):
    file = save(_network(layers.Dense(1, activation=activation)))
    if not loads:
        with pytest.raises(ModelFailedError, match=r"task: 'binary'.*between 0 and 1"):
            load_probe(file, Overrides(task="binary"))
        return
    scores = load_probe(file, Overrides(task="binary")).scores(IMAGE).values
    assert scores.min() >= 0
    np.testing.assert_allclose(scores.sum(), 1, atol=1e-6)


def test_patterns_are_those_of_a_network_of_fractions_when_the_input_is_whole_numbers(save: Save):
    found = []
    for dtype in ("uint8", "float32"):
        probe = load_probe(save(_network(layers.Dense(4), dtype=dtype)))
        canvas = Canvas(np.random.default_rng(0).uniform(100, 150, (2, 16, 16, 3)).astype(np.float32), None)
        ascent = Ascent(FilterMeans("maps", (0, 1)), canvas, Schedule(5, 1.0))
        found.append(probe.ascend(ascent, lambda _: None))
    assert found[0].moved.all()
    np.testing.assert_allclose(found[0].canvas, found[1].canvas, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16", "bfloat16", "float64"])
@pytest.mark.parametrize("scale", [0.3, 0.002, 0.0002])
def test_heat_map_is_that_of_full_precision_when_the_network_computes_otherwise(save: Save, policy: str, scale: float):
    image = np.asarray(np.random.default_rng(5).random((96, 96, 3)), np.float32)
    inputs = keras.Input((96, 96, 3), dtype="float32")
    maps = layers.Conv2D(8, 3, padding="same", activation="relu", name="maps", dtype=policy)
    dense = layers.Dense(4, dtype=policy)
    pool = layers.GlobalAveragePooling2D(dtype=policy)
    network = keras.Model(inputs, layers.Activation("softmax", dtype="float32")(dense(pool(maps(inputs)))))
    rng = np.random.default_rng(3)
    maps.kernel.assign(rng.normal(0, 0.4, maps.kernel.shape))
    dense.kernel.assign(rng.normal(0, scale, dense.kernel.shape))
    kernel, columns = (keras.ops.convert_to_numpy(keras.ops.cast(w, "float32")) for w in (maps.kernel, dense.kernel))
    activations = tf.nn.relu(tf.nn.conv2d(image[None], kernel, 1, "SAME")).numpy()[0]
    probe = load_probe(save(network))
    seen = probe.activations_and_gradients(image, class_index=2)
    expected = np.broadcast_to(columns[:, 2] / (96 * 96), activations.shape)
    # bfloat16 has three digits.
    np.testing.assert_allclose(seen.gradients, expected, rtol=0.02, atol=0.0)
    heat = np.maximum((seen.activations * seen.gradients.mean((0, 1))).sum(-1), 0)
    right = np.maximum((activations * expected[0, 0]).sum(-1), 0)
    assert np.corrcoef(heat.ravel(), right.ravel())[0, 1] > (0.995 if "bfloat16" in policy else 0.9999)
