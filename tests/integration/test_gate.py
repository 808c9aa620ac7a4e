"""What a gate over versions lets through, by method: a copy, and one scaled by 1.001; no dead and no other network."""

import io
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from schemas.results import Result
from service.cli.gate import find_failures
from service.engine.chunks import JobLimits
from service.engine.images.archive import Dataset, DatasetLimits, open_dataset, pack_dataset
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.images.preprocessing import Preprocessing
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.running.run import run
from service.engine.versions.comparison import compute_versions, plan_versions, run_versions
from service.keras.compute.probe import KerasProbe

UNIT = Preprocessing("unit", (1 / 255,), (0.0,))
LIMITS = ImageLimits(2**20, 10**6), JobLimits()
SIZE = (12, 16)
KINDS = ("identical", "scaled", "dead", "random")
AUTOENCODER = "autoencoder"

Networks = dict[str, Model]


def _classifier() -> keras.Model:
    x = inputs = keras.Input((*SIZE, 3))
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(12, activation="softmax", name="scores")(x))


def _autoencoder() -> keras.Model:
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Dense(40, activation="tanh", name="code")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Reshape((8, 8, 1))(layers.Dense(64, activation="sigmoid")(x)))


def _fill(network: keras.Model, seed: int) -> list[Any]:
    generator = np.random.default_rng(seed)
    return [
        generator.normal(0, 2 / np.sqrt(np.prod(weights.shape[:-1])), weights.shape).astype(np.float32)
        if weights.ndim > 1
        else np.zeros_like(weights)
        for weights in network.get_weights()
    ]


def _versions(build: Callable[[], keras.Model]) -> Networks:
    """A network, and what may come in its place, each as version 2 but the first."""
    weights = {
        "first": _fill(build(), 1),
        "identical": _fill(build(), 1),
        "scaled": [np.float32(1.001) * each for each in _fill(build(), 1)],
        "dead": [np.zeros_like(each) for each in _fill(build(), 1)],
        "random": _fill(build(), 2),
    }
    models = {}
    for kind, values in weights.items():
        network = build()
        network.set_weights(values)
        models[kind] = Model("net", "1" if kind == "first" else "2", kind, KerasProbe(network), UNIT)
    return models


@pytest.fixture(scope="module")
def classifiers() -> Networks:
    return _versions(_classifier)


@pytest.fixture(scope="module")
def autoencoders() -> Networks:
    return _versions(_autoencoder)


def _photo(seed: int, *, channels: int = 3, size: tuple[int, int] = SIZE) -> bytes:
    """Large shapes rather than noise: what is averaged over it differs from one to the next."""
    values = np.random.default_rng(seed).integers(0, 256, (3, 4, channels), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values[..., 0] if channels == 1 else values).resize(size[::-1]).save(buffer, "PNG")
    return buffer.getvalue()


def _photos(count: int = 5, *, channels: int = 3, size: tuple[int, int] = SIZE) -> Dataset:
    buffer = io.BytesIO()
    pack_dataset([(f"{seed}.png", _photo(seed, channels=channels, size=size)) for seed in range(count)], buffer)
    return open_dataset(buffer, DatasetLimits())


def _compare(models: list[Model], method: str, *, over: bool = False, **params: Any) -> Result:
    chosen = METHODS[method]
    asked = chosen.params.model_validate(params)
    if over or chosen.consumes == "images":
        gray = method.startswith(AUTOENCODER)
        images = _photos(channels=1, size=(8, 8)) if gray else _photos()
        return run_versions(models, Request(chosen, asked, None, images=images), LIMITS, lambda _: None)
    photo = _photo(0, channels=1, size=(8, 8)) if method.startswith(AUTOENCODER) else _photo(0)
    image = photo if chosen.consumes == "image" else None
    return run_versions(
        models, Request(chosen, asked, None if image is None else ImageFile(image)), LIMITS, lambda _: None
    )


def _judge(networks: Networks, kind: str, method: str, *, over: bool, **params: Any) -> bool:
    """Whether the gate lets it through."""
    result = _compare([networks["first"], networks[kind]], method, over=over, **params)
    assert result.values["compared"] == METHODS[method].compared
    failures = find_failures(result.values["neighbours"], 0.9)
    assert bool(failures) == (result.values["reason"] is not None or result.values["min_correlation"] < 0.9)
    return not failures


PARAMS: dict[str, dict[str, Any]] = {
    "filter-patterns": {"layer": "conv", "filters": "0,1", "size": 16, "steps": 6},
    "autoencoder-traversal": {"units": "0-3", "steps": 3},
}
CASES = [
    (name, way)
    for name, method in METHODS.items()
    for way in (("alone", "dataset") if method.consumes == "image" else ("alone",))
]


@pytest.mark.parametrize(("method", "way"), CASES)
def test_gate_lets_the_same_network_through_and_no_other(
    method: str, way: str, classifiers: Networks, autoencoders: Networks
):
    networks = autoencoders if method.startswith(AUTOENCODER) else classifiers
    params = PARAMS.get(method, {})
    passed = {kind: _judge(networks, kind, method, over=way == "dataset", **params) for kind in KINDS}
    assert passed == {"identical": True, "scaled": True, "dead": False, "random": False}


def _correlation(first: Any, second: Any) -> float:
    return float(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1])


def test_each_picture_of_a_dataset_is_asked_about_one_class_and_its_maps_are_correlated(classifiers: Networks):
    models = [classifiers["first"], classifiers["random"]]
    result = _compare(models, "grad-cam", over=True, values="raw")
    entries = result.values["versions"]
    images, expected, best = _photos(), {}, []
    for member in images.members:
        asked = Request(
            METHODS["grad-cam"], METHODS["grad-cam"].params(), ImageFile(images.read(member.index, max_bytes=2**20))
        )
        target = run(models[1], asked, LIMITS[0]).target
        assert target is not None
        best.append(target.index)
        maps = [entry["values"]["items"][member.index]["map"] for entry in entries]
        expected[member.name] = _correlation(*maps)
    assert [[item["target"]["index"] for item in entry["values"]["items"]] for entry in entries] == [best, best]
    (pair,) = result.values["neighbours"]
    assert {item["of"]: item["correlation"] for item in pair["items"]} == pytest.approx(expected, abs=1e-5)
    worst = min(expected, key=lambda name: expected[name])
    assert pair["worst"] == {"of": worst, "correlation": pytest.approx(expected[worst], abs=1e-5)}
    assert pair["correlation"] == pytest.approx(np.mean(list(expected.values())), abs=1e-5)
    # What is laid over the same photos is alike, whatever the maps are.
    assert pair["correlation"] < 0.5


def test_all_weights_are_compared_when_only_some_are_drawn():
    def build(noise: float) -> Model:
        network = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")])
        weights = _fill(network, 1)
        weights[0][64:] += np.random.default_rng(0).normal(0, noise, weights[0][64:].shape)
        network.set_weights(weights)
        return Model("net", "1" if noise == 0 else "2", str(noise), KerasProbe(network), UNIT)

    models = [build(0.0), build(1.0)]
    result = _compare(models, "filters", filters="0")
    kernels = [model.probe.kernels(model.network_info.layers[-1].path)[0].values for model in models]
    assert result.values["min_correlation"] == pytest.approx(_correlation(*kernels), abs=1e-6)
    assert result.values["min_correlation"] < 0.5


def test_chunks_come_to_the_same_when_a_dataset_needs_several(classifiers: Networks):
    method = METHODS["predictions"]
    images = _photos(20)
    models = [classifiers["first"], classifiers["random"], classifiers["scaled"]]
    models = [Model("net", str(number), model.digest, model.probe, UNIT) for number, model in enumerate(models, 1)]
    request = Request(method, method.params.model_validate({"top": 12}), None, images=images)
    work = plan_versions(models, request, *LIMITS)
    assert (work.unit, [len(items) for items in work.chunks]) == ("images", [16, 4])
    seen: list[float] = []
    compute_versions(models, request, work.chunks[1], LIMITS[0], seen.append)
    assert (seen == sorted(seen), seen[-1]) == (True, 1.0)
    result = run_versions(models, request, LIMITS, lambda _: None)
    assert [pair["compared"] for pair in result.values["neighbours"]] == [20, 20]
    scores = [
        [{one["index"]: one["score"] for one in item["predictions"]} for item in entry["values"]["items"]]
        for entry in result.values["versions"]
    ]
    expected = [
        _correlation([a[at] for at in a], [b[at] for at in a]) for a, b in zip(scores[0], scores[1], strict=True)
    ]
    assert result.values["versions"][0]["values"]["images"] == 20
    found = [item["correlation"] for item in result.values["neighbours"][0]["items"]]
    assert found == pytest.approx(expected, abs=1e-5)
