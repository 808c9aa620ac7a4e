"""Top images of a real network: the winners are NumPy's, and a patch alone excites its unit as much as the picture."""

import io
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from service.engine.chunks import JobLimits, run_all
from service.engine.images.archive import DatasetLimits, open_dataset, pack_dataset
from service.engine.images.decoding import ImageLimits
from service.engine.images.preprocessing import Preprocessing
from service.engine.methods.layers.top_images import TOP_IMAGES
from service.engine.model import Model
from service.engine.running.request import Request
from service.keras.compute.probe import KerasProbe

L: Any = keras.layers
CENTRED = Preprocessing("centred", (1 / 127.5,), (-1.0,))


def _network() -> keras.Model:
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((None, None, 3))
    x = L.Conv2D(8, 5, strides=2, activation="relu")(x)
    x = L.Conv2D(6, 3, name="second")(x)
    return keras.Model(inputs, x)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 256, (30, 27, 31, 3))
    return np.asarray(noise, np.uint8)


def test_patch_alone_excites_its_unit_as_much_when_all_that_it_sees_is_inside(pictures: np.ndarray):
    network = _network()
    answers = network.predict(pictures / np.float32(127.5) - 1, verbose=0)
    greatest = answers.max(axis=(1, 2))
    for unit in _find(network, pictures, layer="second", top=3)["units"]:
        order = np.argsort(-greatest[:, unit["unit"]])[:3]
        assert [item["index"] for item in unit["images"]] == order.tolist()
        for item in unit["images"]:
            assert item["value"] == pytest.approx(float(greatest[item["index"], unit["unit"]]), rel=1e-4)
            top, left, bottom, right = item["patch"]
            patch = pictures[item["index"], top:bottom, left:right] / np.float32(127.5) - 1
            assert patch.shape == (9, 9, 3)
            alone = network.predict(patch[None], verbose=0)
            assert alone.shape[1:3] == (1, 1)
            assert float(alone[0, 0, 0, unit["unit"]]) == pytest.approx(item["value"], rel=1e-4)
            row, column = item["position"]
            assert answers[item["index"], row, column, unit["unit"]] == pytest.approx(item["value"], rel=1e-4)


def _find(network: keras.Model, pictures: np.ndarray, **params: Any) -> dict[str, Any]:
    def encode(pixels: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()

    buffer = io.BytesIO()
    pack_dataset([(f"{number:03}.png", encode(pixels)) for number, pixels in enumerate(pictures)], buffer)
    model = Model(name="net", version="1", digest="0", probe=KerasProbe(network), preprocessing=CENTRED)
    request = Request(
        TOP_IMAGES, TOP_IMAGES.params.model_validate(params), None, images=open_dataset(buffer, DatasetLimits())
    )
    result = run_all(model, request, ImageLimits(2**20, 10**6), JobLimits(), lambda _: None)
    assert [image.name for image in result.images] == ["patches", "images"]
    return result.values
