"""A hundred mixed requests: no trace is built twice, and memory stays where it is."""

import gc
import io
import subprocess
import sys
import weakref
from itertools import product
from typing import Any

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image

from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.ports.ascent import Ascent, Canvas, FilterMeans, Schedule
from service.engine.running.request import Request
from service.engine.running.run import run
from service.keras.compute.probe import KerasProbe
from service.keras.compute.tuning import Tuning
from service.models.preprocessing import PRESETS

LIMITS = ImageLimits(max_bytes=2**24, max_pixels=10**7)
WARM_UP = 30
REQUESTS = 100
# TensorFlow's pools grow in steps; a leak of one trace per request would be some 20 MB each.
MAX_GROWTH_BYTES = 100 * 2**20


class Counter(layers.Layer):
    """Passes its input on and counts how often Python runs it: once per trace, never per request."""

    def __init__(self) -> None:
        super().__init__(name="counter")
        self.runs = 0

    def call(self, inputs: Any) -> Any:
        self.runs += 1
        return inputs


@pytest.fixture(scope="module")
def counters() -> list[Counter]:
    return [Counter(), Counter()]


@pytest.fixture(scope="module")
def probes(counters: list[Counter]) -> list[KerasProbe]:
    keras.utils.set_random_seed(1)
    backbone = keras.applications.MobileNetV2(
        alpha=0.35, weights=None, include_top=False, input_shape=(96, 96, 3), name="backbone"
    )
    return [KerasProbe(_nested(backbone, counters[0])), KerasProbe(_flat(counters[1]))]


@pytest.fixture(scope="module")
def models(probes: list[KerasProbe]) -> list[Model]:
    return [Model(f"model{index}", "1", "0" * 64, probe, PRESETS["unit"]) for index, probe in enumerate(probes)]


def _nested(backbone: keras.Model, counter: Counter) -> keras.Sequential:
    network = keras.Sequential(
        [backbone, counter, layers.GlobalAveragePooling2D(), layers.Dense(4, activation="softmax")]
    )
    network.build((None, 96, 96, 3))
    return network


def _flat(counter: Counter) -> keras.Model:
    inputs = keras.Input((None, None, 3))
    maps = layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    maps = layers.Conv2D(8, 3, activation="relu", name="second")(maps)
    pooled = layers.GlobalAveragePooling2D()(counter(maps))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(pooled))


def _photo(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(60, 200, 2)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _requests(models: list[Model]) -> list[tuple[Model, Request]]:
    """Both models, each with predictions and with maps of two layers for the best class and for two others."""
    inner = {"model0": ("backbone/out_relu", "backbone/block_6_expand_relu"), "model1": ("first", "second")}
    photos = [_photo(seed) for seed in range(5)]
    mixed = []
    for number, (photo, model) in enumerate(product(photos, models)):
        predictions, heatmap = METHODS["predictions"], METHODS["grad-cam"]
        mixed.append((model, Request(predictions, predictions.params(), ImageFile(photo))))
        for layer, class_index in product(inner[model.name], (None, 0, 1)):
            params = heatmap.params(layer=layer, class_index=class_index, colormap=("jet", "gray")[number % 2])
            mixed.append((model, Request(heatmap, params, ImageFile(photo))))
    return mixed


def test_nothing_is_traced_again_and_memory_stays_when_a_hundred_requests_are_mixed(
    models: list[Model], probes: list[KerasProbe], counters: list[Counter]
):
    requests = _requests(models)
    process = psutil.Process()
    for number in range(WARM_UP):
        model, request = requests[number % len(requests)]
        run(model, request, LIMITS)
    built = [probe.traces.built for probe in probes]
    runs = [counter.runs for counter in counters]
    before = process.memory_info().rss
    for number in range(WARM_UP, WARM_UP + REQUESTS):
        model, request = requests[number % len(requests)]
        run(model, request, LIMITS)
    assert [probe.traces.built for probe in probes] == built == [6, 6]
    assert [counter.runs for counter in counters] == runs
    assert process.memory_info().rss - before < MAX_GROWTH_BYTES


def test_traces_are_bounded_when_a_client_walks_through_every_layer():
    inputs = keras.Input((8, 8, 3))
    maps = inputs
    for index in range(5):
        maps = layers.Conv2D(2, 3, padding="same", name=f"maps{index}")(maps)
    network = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(maps)))
    probe = KerasProbe(network, tuning=Tuning(max_traces=4))
    image = np.zeros((8, 8, 3), np.float32)
    for index in (0, 1, 2, 3, 4, 4, 3):
        probe.activations_and_gradients(image, layer=f"maps{index}")
    assert probe.traces.built == 10
    probe.activations_and_gradients(image, layer="maps0")
    assert probe.traces.built == 12


def test_graphs_go_with_their_network_when_operations_have_gradients_of_their_own():
    """TensorFlow registers each of those for good, and with it the graph: silu's, and of one filter's ascent."""
    others = {id(graph) for graph in _graphs()}
    inputs = keras.Input((8, 8, 3))
    maps = layers.Conv2D(4, 3, activation="silu", name="maps")(inputs)
    maps = layers.Conv2D(4, 3, name="last")(maps)
    network = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(maps)))
    probe = KerasProbe(network)
    probe.activations_and_gradients(np.zeros((8, 8, 3), np.float32), layer="maps")
    canvas = Canvas(np.zeros((1, 8, 8, 3), np.float32), None)
    probe.ascend(Ascent(FilterMeans("last", (1,)), canvas, Schedule(steps=2, step_size=1.0)), lambda _: None)
    graphs = weakref.WeakSet(graph for graph in _graphs() if id(graph) not in others)
    assert len(graphs) >= 4
    del probe, network, inputs, maps
    gc.collect()
    assert len(graphs) == 0


def _graphs() -> list[tf.Graph]:
    gc.collect()
    # The others are TensorFlow's own, for all the process.
    return [one for one in gc.get_objects() if isinstance(one, tf.Graph) and type(one) is not tf.Graph]


def test_memory_of_weights_comes_back_when_they_go():
    """In a process of its own, as that is for how TensorFlow begins."""
    program = """
import gc, psutil
from service.models.memory import collect_memory, configure_allocator
configure_allocator()
import tensorflow as tf
tf.Variable(tf.ones([2**20]))
start = psutil.Process().memory_info().rss
kept = [tf.Variable(tf.ones([2**18])) for _ in range(150)]
held = psutil.Process().memory_info().rss
del kept
collect_memory()
print((held - start) >> 20, (psutil.Process().memory_info().rss - start) >> 20)
"""
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120)
    held, left = map(int, told.stdout.split())
    assert held > 140
    assert left < 15
