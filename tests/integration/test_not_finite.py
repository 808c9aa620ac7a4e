"""No method takes a network of NaN for a healthy one, whichever way it is asked."""

import io

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812 - as the other tests have it
from PIL import Image

from service.engine.chunks import JobLimits, run_all
from service.engine.images.archive import Dataset, DatasetLimits, open_dataset, pack_dataset
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.images.preprocessing import Preprocessing
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.running.run import run
from service.errors import NotFiniteError
from service.keras.compute.probe import KerasProbe

LIMITS = ImageLimits(2**20, 10**6)
UNIT = Preprocessing("unit", (1 / 255,), (0.0,))


def _model(*, autoencoder: bool, poison: float) -> Model:
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((16, 16, 3))
    x = L.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    if autoencoder:
        x = L.Dense(2, name="latent")(L.Flatten()(x))
        x = L.Reshape((16, 16, 3))(L.Dense(16 * 16 * 3)(x))
    else:
        x = L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(x))
    network = keras.Model(inputs, x)
    # A ReLU alone may swallow NaN.
    for layer in filter(lambda layer: layer.weights, network.layers):
        kernel, bias = layer.get_weights()
        kernel.flat[0] = poison
        layer.set_weights([kernel, bias])
    return Model("poisoned", "1", "0" * 64, KerasProbe(network), UNIT)


def _photo(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _dataset() -> Dataset:
    buffer = io.BytesIO()
    pack_dataset([(f"{number}.png", _photo(number)) for number in range(3)], buffer)
    return open_dataset(buffer, DatasetLimits())


@pytest.mark.parametrize("poison", [np.nan, np.inf], ids=["nan", "infinity"])
@pytest.mark.parametrize("name", list(METHODS))
def test_method_says_so_when_the_network_is_not_finite(name: str, poison: float):
    method = METHODS[name]
    model = _model(autoencoder=name.startswith("autoencoder"), poison=poison)
    given = {"steps": 2, "size": 16, "filters": "0"} if name == "filter-patterns" else {}
    if name == "autoencoder-coefficients":
        given = {"layer": "conv"}
    image = ImageFile(_photo(0)) if method.consumes == "image" else None
    images = _dataset() if method.consumes == "images" else None
    request = Request(method, method.params.model_validate(given), image, images=images)
    if method.kind == "interactive":
        with pytest.raises(NotFiniteError):
            run(model, request, LIMITS)
    with pytest.raises(NotFiniteError):
        run_all(model, request, LIMITS, JobLimits(), lambda _: None)
