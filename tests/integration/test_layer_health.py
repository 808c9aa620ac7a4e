"""Layer health on real networks: faults that were planted are found, and nothing else; numbers as NumPy has them."""

import io
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from service.engine.chunks import JobLimits, run_all
from service.engine.images.archive import Dataset, DatasetLimits, open_dataset, pack_dataset
from service.engine.images.decoding import ImageLimits
from service.engine.images.preprocessing import Preprocessing
from service.engine.methods.layers.layer_health import LAYER_HEALTH
from service.engine.model import Model
from service.engine.running.request import Request
from service.errors import LayerNotFoundError, LayerWithoutKernelError
from service.keras.compute.probe import KerasProbe

CENTRED = Preprocessing("centred", (1 / 127.5,), (-1.0,))
LIMITS = ImageLimits(2**20, 10**6)


def _network() -> keras.Model:
    """Two convolutions, of which one is normalised and activated by layers of their own, and a classifier."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((12, 10, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu", name="first")(x)
    x = keras.layers.Conv2D(16, 3, name="second")(x)
    x = keras.layers.BatchNormalization(name="normal")(x)
    x = keras.layers.ReLU(name="active")(x)
    x = keras.layers.DepthwiseConv2D(3, name="third")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(5, activation="softmax", name="scores")(x))


def _plant(layer: Any, **changes: tuple[int, Any]) -> None:
    """Set one filter's kernel or bias."""
    weights = dict(zip(("kernel", "bias"), layer.get_weights(), strict=True))
    for name, (number, value) in changes.items():
        weights[name][..., number] = weights[name][..., value] if isinstance(value, str) else value
    layer.set_weights(list(weights.values()))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Noise, of both signs for the network."""
    noise = np.random.default_rng(1).integers(0, 256, (40, 12, 10, 3))
    return np.asarray(noise, np.uint8)


@pytest.fixture(scope="module")
def images(pictures: np.ndarray) -> Iterator[Dataset]:
    def encode(pixels: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()

    files = [(f"{number:03}.png", encode(pixels)) for number, pixels in enumerate(pictures)]
    buffer = io.BytesIO()
    pack_dataset([*files, ("broken.png", b"?")], buffer)
    opened = open_dataset(buffer, DatasetLimits())
    yield opened
    opened.close()


def _examine(network: keras.Model, images: Dataset, **params: Any) -> dict[str, Any]:
    model = Model(name="net", version="1", digest="0", probe=KerasProbe(network), preprocessing=CENTRED)
    request = Request(LAYER_HEALTH, LAYER_HEALTH.params.model_validate(params), None, images=images)
    result = run_all(model, request, LIMITS, JobLimits(), lambda _: None)
    assert [image.name for image in result.images] == ["sparsity"]
    return result.values


def _findings(values: dict[str, Any]) -> set[tuple[str, str, tuple[int, ...]]]:
    found: set[tuple[str, str, tuple[int, ...]]] = set()
    for layer in values["layers"]:
        for kind in ("dead", "always_on"):
            found |= {(kind, layer["layer"], (number,)) for number in layer[kind]}
        found |= {("duplicate", layer["layer"], tuple(pair["filters"])) for pair in layer["duplicates"] or ()}
    return found


def test_nothing_is_found_when_nothing_is_wrong(images: Dataset):
    values = _examine(_network(), images)
    assert _findings(values) == set()
    assert values["images"] == 40
    assert [item["name"] for item in values["skipped"]] == ["broken.png"]
    assert [(layer["layer"], layer["read_at"], layer["rectified"]) for layer in values["layers"]] == [
        ("first", "first", True),
        ("second", "active", True),
        ("third", "third", False),
        ("scores", "scores", False),
    ]


def test_each_fault_is_found_and_nothing_else_when_some_are_planted(images: Dataset):
    network = _network()
    first, second = network.get_layer("first"), network.get_layer("second")
    _plant(first, kernel=(2, 0.0))
    _plant(first, bias=(5, 4.0))
    _plant(second, kernel=(3, 0.0))
    _plant(second, bias=(4, -1e9))
    kernel, bias = second.get_weights()
    # What is always on is not to drive the next layer anywhere.
    kernel[:, :, 5] = 0
    kernel[..., 9], bias[9] = kernel[..., 7], bias[7]
    second.set_weights([kernel, bias])
    values = _examine(network, images, layers=["first", "second"])
    assert _findings(values) == {
        ("dead", "first", (2,)),
        ("always_on", "first", (5,)),
        ("dead", "second", (3,)),
        ("dead", "second", (4,)),
        ("duplicate", "second", (7, 9)),
    }
    assert (values["dead"], values["always_on"], values["duplicates"]) == (3, 1, 1)
    pair = values["layers"][1]["duplicates"][0]
    assert pair["kernel_cosine"] == pytest.approx(1, abs=1e-6)
    assert pair["answer_cosine"] == pytest.approx(1, abs=1e-6)


def test_numbers_are_those_of_the_whole_dataset_when_numpy_counts(pictures: np.ndarray, images: Dataset):
    network = _network()
    tensors = [network.get_layer(name).output for name in ("first", "active", "third", "scores")]
    answers = keras.Model(network.input, tensors).predict(pictures / np.float32(127.5) - 1, verbose=0)
    for layer, answer in zip(_examine(network, images)["layers"], answers, strict=True):
        flat = answer.reshape(len(answer), -1, answer.shape[-1]).astype(np.float64)
        channel = layer["by_channel"]
        np.testing.assert_allclose(channel["mean"], flat.mean(axis=(0, 1)), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(channel["max"], flat.max(axis=(0, 1)), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(channel["sparsity"], (flat == 0).mean(axis=(0, 1)), atol=2e-3)
        np.testing.assert_allclose(channel["fires"], (flat.max(axis=1) > 0).mean(axis=0), atol=1e-9)
        assert layer["sparsity"] == pytest.approx((flat == 0).mean(), abs=1e-3)


def test_layers_are_refused_when_they_have_no_filters(images: Dataset):
    with pytest.raises(LayerWithoutKernelError, match="'active' has no filters"):
        _examine(_network(), images, layers=["active"])
    with pytest.raises(LayerNotFoundError):
        _examine(_network(), images, layers=["tenth"])
