"""Real networks on real photos: the classes known for them, and maps against an independent oracle."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.engine.arrays import Array
from service.engine.drawing.visuals import Heatmap
from service.engine.images.decoding import ImageLimits, decode, fit
from service.engine.methods.heatmaps.grad_cam import GradCamParams, grad_cam
from service.engine.model import Model
from service.engine.ports.answers import LayerGradients
from service.keras.compute.probe import KerasProbe
from tests.oracle import (
    NETWORKS,
    Floats,
    Oracle,
    correlation,
    flatten_teachable,
    load_network,
    load_oracle,
    read_photo,
    relative_error,
    snapshot,
)
from tests.unit.fakes import IDLE

Load = Callable[[str], Model]
LIMITS = ImageLimits(max_bytes=2**24, max_pixels=10**7)
PHOTOS = (
    "both.png",
    "coral_parrot.jpg",
    "creative_commons_elephant.jpg",
    "darknet_dog.jpg",
    "kerasvis_ouzel1.jpg",
    "puppies.jpg",
    "skimage_chelsea.png",
    "skimage_coffee.png",
    "tfkv_bear.jpg",
    "tfkv_goldfish.jpg",
)
SEEN = [
    ("squeezenet", "creative_commons_elephant.jpg", "African_elephant", 0.68),
    ("squeezenet", "tfkv_goldfish.jpg", "goldfish", 1.00),
    ("squeezenet", "tfkv_bear.jpg", "brown_bear", 0.98),
    ("squeezenet", "coral_parrot.jpg", "macaw", 0.99),
    ("squeezenet", "skimage_chelsea.png", "Egyptian_cat", 0.52),
    ("squeezenet", "skimage_coffee.png", "espresso", 1.00),
    ("squeezenet", "kerasvis_ouzel1.jpg", "water_ouzel", 1.00),
    ("squeezenet", "puppies.jpg", "golden_retriever", 0.47),
    ("mobilenet", "creative_commons_elephant.jpg", "African_elephant", 0.53),
    ("mobilenet", "tfkv_goldfish.jpg", "goldfish", 0.93),
    ("mobilenet", "tfkv_bear.jpg", "brown_bear", 0.96),
    ("mobilenet", "coral_parrot.jpg", "macaw", 0.92),
    ("mobilenet", "skimage_chelsea.png", "Egyptian_cat", 0.81),
    ("mobilenet", "skimage_coffee.png", "espresso", 0.83),
    ("mobilenet", "kerasvis_ouzel1.jpg", "water_ouzel", 0.92),
    ("mobilenet", "puppies.jpg", "Labrador_retriever", 0.73),
    ("mobilenet", "both.png", "bull_mastiff", 0.57),
]
# A class that is not the best one: the other animal, or whatever else a network might look for.
SECOND_CLASSES = [
    ("squeezenet", "creative_commons_elephant.jpg", 101),
    ("squeezenet", "both.png", 282),
    ("mobilenet", "puppies.jpg", 207),
    ("mobilenet", "both.png", 282),
    ("teachable", "both.png", 0),
    ("teachable", "skimage_chelsea.png", 1),
]
# Maps in mid-network: the gradient has to pass through normalisation, ReLU6 and residual sums to get there.
INNER_LAYERS = [
    ("squeezenet", "fire5_concat"),
    ("mobilenet", "block_6_expand_relu"),
    ("mobilenet", "block_12_add"),
    ("teachable", "block_6_expand_relu"),
]


@pytest.fixture(scope="module")
def oracle(test_data: Path) -> Callable[[str], Oracle]:
    return cache(lambda name: load_oracle(NETWORKS[name], test_data))


@pytest.fixture(scope="module")
def class_names(test_data: Path) -> list[str]:
    index = json.loads((test_data / "labels" / "imagenet_class_index.json").read_text(encoding="utf-8"))
    return [index[str(number)][1] for number in range(len(index))]


@pytest.mark.parametrize(("network", "photo", "label", "score"), SEEN)
def test_best_class_is_the_known_one_when_a_photo_is_shown(
    network: str, photo: str, label: str, score: float, *, load: Load, class_names: list[str], test_data: Path
):
    model = load(network)
    scores = model.probe.scores(_seen_by(model, test_data / "images" / "photos" / photo))
    assert class_names[scores.top] == label
    assert scores.values.max() == pytest.approx(score, abs=0.02)


@pytest.mark.parametrize(("photo", "index"), [("skimage_chelsea.png", 0), ("puppies.jpg", 1)], ids=["cat", "dog"])
def test_cat_and_dog_are_told_apart_when_the_network_is_nested(photo: str, index: int, load: Load, test_data: Path):
    model = load("teachable")
    scores = model.probe.scores(_seen_by(model, test_data / "images" / "photos" / photo))
    assert scores.values[index] > 0.95
    assert scores.values.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("network", NETWORKS)
def test_map_equals_the_oracle_when_the_best_class_is_explained(
    network: str, photo: str, load: Load, oracle: Callable[[str], Oracle], test_data: Path
):
    path = test_data / "images" / "photos" / photo
    heatmap = _heatmap(load(network), path)
    expected = oracle(network).explain(read_photo(path, NETWORKS[network]), heatmap.target.index)
    assert heatmap.layer == NETWORKS[network].path
    assert heatmap.target.index == expected.scores.argmax()
    assert heatmap.target.value == pytest.approx(expected.logits.max(), rel=1e-4)
    assert correlation(heatmap.values, expected.heatmap) >= 0.999
    assert relative_error(heatmap.values, expected.heatmap) < 1e-4


@pytest.mark.parametrize(("network", "photo", "index"), SECOND_CLASSES)
def test_map_equals_the_oracle_when_another_class_is_explained(
    network: str, photo: str, index: int, *, load: Load, oracle: Callable[[str], Oracle], test_data: Path
):
    path = test_data / "images" / "photos" / photo
    answer = load(network).probe.activations_and_gradients(_seen_by(load(network), path), class_index=index)
    expected = oracle(network).explain(read_photo(path, NETWORKS[network]), index)
    assert answer.target.index == index
    assert answer.target.score == pytest.approx(expected.scores[index], abs=1e-5)
    assert relative_error(answer.activations, expected.activations) < 1e-4
    assert relative_error(answer.gradients, expected.gradients) < 1e-4
    assert correlation(_evidence(answer), expected.evidence) >= 0.999


@pytest.mark.parametrize(("network", "layer"), INNER_LAYERS)
def test_map_equals_the_oracle_when_a_layer_in_mid_network_is_named(
    network: str, layer: str, load: Load, test_data: Path
):
    path = test_data / "images" / "photos" / "both.png"
    facts = replace(NETWORKS[network], layer=layer)
    full_path = NETWORKS[network].path.replace(NETWORKS[network].layer, layer)
    answer = load(network).probe.activations_and_gradients(_seen_by(load(network), path), layer=full_path)
    expected = load_oracle(facts, test_data).explain(read_photo(path, facts), answer.target.index)
    assert answer.layer == full_path
    assert correlation(answer.gradients, expected.gradients) >= 0.999
    assert correlation(_evidence(answer), expected.evidence) >= 0.999


@pytest.mark.parametrize(
    ("index", "place"), [(243, (0.50, 0.21)), (282, (0.79, 0.79))], ids=["bull_mastiff", "tiger_cat"]
)
def test_map_peaks_on_the_animal_when_its_class_is_explained(
    index: int, place: tuple[float, float], load: Load, test_data: Path
):
    path = test_data / "images" / "photos" / "both.png"
    assert _peak(_heatmap(load("mobilenet"), path, index).values, path) == pytest.approx(place, abs=0.12)


@pytest.mark.parametrize("photo", ["both.png", "skimage_chelsea.png", "puppies.jpg"])
def test_answers_equal_the_flat_network_when_the_network_is_nested(photo: str, load: Load, test_data: Path):
    flat = KerasProbe(flatten_teachable(load_network(NETWORKS["teachable"], test_data)))
    image = _seen_by(load("teachable"), test_data / "images" / "photos" / photo)
    nested = load("teachable").probe.activations_and_gradients(image)
    rebuilt = flat.activations_and_gradients(image)
    assert flat.network_info.default_layer == "out_relu"
    assert nested.target.index == rebuilt.target.index
    assert np.abs(nested.scores.values - rebuilt.scores.values).max() < 1e-5
    assert relative_error(_evidence(nested), _evidence(rebuilt)) < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_network_is_as_it_was_when_questions_have_been_answered(name: str, test_data: Path):
    network = load_network(NETWORKS[name], test_data)
    before = snapshot(network)
    probe = KerasProbe(network)
    image = read_photo(test_data / "images" / "photos" / "both.png", NETWORKS[name])
    earlier = next(layer.path for layer in probe.network_info.layers if layer.is_spatial and layer.type == "Conv2D")
    probe.scores(image)
    for index in (None, 1):
        probe.activations_and_gradients(image, class_index=index)
        probe.activations_and_gradients(image, layer=earlier, class_index=index)
    after = snapshot(network)
    assert probe.traces.built == 5
    assert after["nodes"] == before["nodes"]
    assert all(mine is yours for mine, yours in zip(after["activations"], before["activations"], strict=True))
    assert after == before


def _seen_by(model: Model, path: Path) -> Array:
    """The photo as the service prepares it."""
    assert model.network_info.input_shape is not None
    height, width, channels = model.network_info.input_shape
    assert height is not None
    assert width is not None
    pixels = fit(decode(path.read_bytes(), LIMITS), height=height, width=width, channels=channels)
    return model.preprocessing.apply(pixels)


def _heatmap(model: Model, path: Path, class_index: int | None = None) -> Heatmap:
    return grad_cam(model.probe, _seen_by(model, path), GradCamParams(class_index=class_index), IDLE)


def _evidence(answer: LayerGradients) -> Floats:
    return answer.activations @ answer.gradients.mean(axis=(0, 1))


def _peak(values: Array, path: Path) -> tuple[float, float]:
    """Relative (x, y) of the maximum, once the map has the photo's size."""
    with Image.open(path) as photo:
        width, height = photo.size
    resized = np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))
    y, x = np.unravel_index(resized.argmax(), resized.shape)
    return (float(x) + 0.5) / width, (float(y) + 0.5) / height
