"""Activations and kernels of real networks, against Keras's own sub-models and weights."""

import io
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from schemas.results import Result
from service.engine.arrays import Array
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.running.run import run
from service.errors import LayerNotFoundError, LayerWithoutKernelError
from service.keras.compute.probe import KerasProbe
from service.keras.files.loading import load_probe
from service.models.preprocessing import PRESETS
from tests.oracle import NETWORKS, load_network, read_photo, relative_error

LIMITS = ImageLimits(2**24, 10**7)


@pytest.mark.parametrize("name", ["squeezenet", "mobilenet"])
def test_every_layer_equals_its_sub_model_when_all_are_asked_for(
    name: str, load: Callable[[str], Model], test_data: Path
):
    network = load_network(NETWORKS[name], test_data)
    image = read_photo(test_data / "images/photos/skimage_chelsea.png", NETWORKS[name])
    layers = [layer.name for layer in network.layers]
    expected = keras.Model(network.input, [layer.output for layer in network.layers])(image[None], training=False)
    answers = load(name).probe.activations(np.asarray(image, np.float32), layers)
    for layer, answer, reference in zip(layers, answers, expected, strict=True):
        assert answer.layer == layer
        assert relative_error(answer.values, np.asarray(reference)[0]) < 1e-4, layer


def test_nested_layer_equals_its_sub_model_when_addressed_by_path_name_or_index(
    load: Callable[[str], Model], test_data: Path
):
    probe = load("teachable").probe
    network = load_network(NETWORKS["teachable"], test_data)
    backbone = network.layers[0].layers[0]
    image = np.asarray(read_photo(test_data / "images/photos/puppies.jpg", NETWORKS["teachable"]), np.float32)
    path = "sequential_1/model1/block_12_add"
    index = next(str(number) for number, layer in enumerate(probe.network_info.layers) if layer.path == path)
    expected = keras.Model(backbone.inputs[0], backbone.get_layer("block_12_add").output)(image[None], training=False)
    for answer in probe.activations(image, [path, "block_12_add", index]):
        assert answer.layer == path
        assert relative_error(answer.values, np.asarray(expected)[0]) < 1e-4


def test_kernels_are_the_files_when_vgg16_is_drawn(test_data: Path):
    file = test_data / "models" / "vgg16_blocks1_2_imagenet.keras"
    probe = load_probe(file)
    weights = keras.saving.load_model(file, compile=False).get_layer("block1_conv1").get_weights()[0]
    (kernel,) = probe.kernels("block1_conv1")
    np.testing.assert_array_equal(kernel.values, weights)
    result = _run(Model("vgg", "1", "0" * 64, probe, PRESETS["caffe"]), "filters", margin=0, columns=8)
    colour, matrix = (np.asarray(Image.open(io.BytesIO(image.data))) for image in result.images)
    assert [image.name for image in result.images] == ["block1_conv1--rgb", "block1_conv1--channels"]
    assert colour.shape == (8 * 33, 8 * 33, 3)
    # The file's network takes BGR, as Caffe did: the picture is RGB all the same.
    shades = np.rint((weights[:, :, ::-1] - weights.min()) * (255 / np.ptp(weights)))
    for index in (0, 9, 63):
        row, column = divmod(index, 8)
        tile = colour[row * 33 : row * 33 + 33 : 11, column * 33 : column * 33 + 33 : 11]
        assert np.abs(tile - shades[..., index]).max() <= 1
    assert matrix.shape == (64 * 33, 3 * 33)


@pytest.fixture(scope="module")
def odd() -> KerasProbe:
    """Every kind of kernel, and outputs of every rank."""
    layers = keras.layers
    keras.utils.set_random_seed(3)
    image = keras.Input((24, 32, 1))
    maps = layers.Conv2D(6, 3, name="plain")(image)
    maps = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(maps)
    maps = layers.SeparableConv2D(5, 3, name="separable")(maps)
    maps = layers.Conv2DTranspose(7, 2, name="transposed")(maps)
    maps = layers.Conv2D(4, 1, activation="relu", name="one")(maps)
    sequence = layers.Reshape((-1, 4), name="sequence")(maps)
    sequence = layers.Conv1D(3, 5, name="temporal")(sequence)
    vector = layers.Flatten(name="flat")(layers.Dropout(0.5, name="dropout")(sequence))
    network = keras.Model(image, layers.Dense(3, activation="softmax", name="scores")(vector))
    return KerasProbe(network)


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        ("plain", [(3, 3, 1, 6)]),
        ("depthwise", [(3, 3, 1, 12)]),
        ("separable", [(3, 3, 1, 12), (1, 1, 12, 5)]),
        ("transposed", [(2, 2, 5, 7)]),
        ("one", [(1, 1, 7, 4)]),
        ("temporal", [(1, 5, 4, 3)]),
    ],
)
def test_axes_have_one_order_when_kernels_differ(odd: KerasProbe, layer: str, shapes: list[tuple[int, ...]]):
    assert [kernel.values.shape for kernel in odd.kernels(layer)] == shapes
    assert _run(Model("odd", "1", "0" * 64, odd, PRESETS["unit"]), "filters", layer=layer).images


def test_every_listed_layer_is_drawn_when_asked_for(odd: KerasProbe):
    model = Model("odd", "1", "0" * 64, odd, PRESETS["unit"])
    for index, layer in enumerate(odd.network_info.layers):
        result = _run(model, "activations", layer=index)
        assert result.layer == layer.path
        assert [image.layer for image in result.images] == [layer.path]
    assert {layer.type for layer in odd.network_info.layers} >= {"InputLayer", "Dropout", "Flatten", "Reshape"}


def test_layer_is_refused_when_it_has_no_kernel_or_does_not_exist(odd: KerasProbe):
    with pytest.raises(LayerWithoutKernelError, match="nearest with one: 'temporal'"):
        odd.kernels("flat")
    with pytest.raises(LayerNotFoundError, match="out of range: they count from 0 to 10"):
        odd.kernels("11")


def test_one_trace_serves_when_layers_are_asked_for_in_any_combination(odd: KerasProbe):
    image: Array = np.zeros((24, 32, 1), np.float32)
    odd.activations(image, ["plain"])
    built = odd.traces.built
    odd.activations(image, ["one", "scores"])
    odd.activations(image, ["flat", "plain"])
    assert odd.traces.built == built


def _run(model: Model, name: str, **params: object) -> Result:
    method = METHODS[name]
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    return run(model, Request(method, method.params.model_validate(params), ImageFile(buffer.getvalue())), LIMITS)
