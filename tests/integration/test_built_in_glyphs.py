"""The built-in autoencoder, measured on glyphs that its training never drew: every version decodes them better."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from service.composition.models import BUILT_IN_MODELS
from service.demo.glyphs import draw_glyphs
from service.engine.methods import METHODS
from service.engine.methods.autoencoders.silhouette import measure_silhouette
from service.engine.model import Model
from service.keras.files.loading import load_probe
from service.models.catalog import Catalog
from service.models.sources.folder import Folder

FRESH_SEED = 20_000_001
COUNT = 200
VERSIONS = ("1", "2", "3", "4", "5", "6")
AUTOENCODER = {name for name in METHODS if name.startswith("autoencoder-")}


class Figures(NamedTuple):
    error: float
    silhouette: float


@pytest.fixture(scope="module")
def versions() -> dict[str, Model]:
    catalog = Catalog([Folder(BUILT_IN_MODELS, load_probe)])
    models = {version: catalog.model("glyphs", version) for version in catalog.list_versions("glyphs")}
    catalog.close()
    return models


@pytest.fixture(scope="module")
def figures(versions: dict[str, Model]) -> list[Figures]:
    """Of all versions, the oldest first."""
    return [_measure(versions[version]) for version in VERSIONS]


def test_versions_are_served_newest_first(versions: dict[str, Model]):
    assert tuple(versions) == VERSIONS[::-1]


def test_glyphs_are_decoded_better_when_the_version_is_newer(figures: list[Figures]):
    errors = [figure.error for figure in figures]
    # From one version to the next by a tenth at least; the newest was measured at 0.027 on 1000 glyphs.
    assert all(later < 0.9 * earlier for earlier, later in pairwise(errors))
    assert errors[-1] < 0.032


def test_labels_lie_apart_when_the_code_is_trained(figures: list[Figures]):
    # Measured on 1000 glyphs: -0.12 untrained, 0.50 in the end.
    assert figures[0].silhouette < 0.0
    assert figures[-1].silhouette > 0.4


def test_a_unit_is_wired_straight_to_the_pixels(versions: dict[str, Model]):
    (kernel,) = versions["6"].probe.kernels("hidden")
    assert kernel.values.shape == (1, 1, 28 * 28, 32)


def test_card_says_what_the_file_does_not(versions: dict[str, Model]):
    model = versions["6"]
    assert (model.network_info.task, model.latent_layer, model.preprocessing.name) == ("autoencoder", "latent", "unit")
    assert model.probe.layer("latent").output_shape == (None, 2)


def test_methods_about_classes_say_why_they_cannot_work(versions: dict[str, Model]):
    reasons = {method.name: method.refuse(versions["6"].network_info) for method in METHODS.values()}
    refused = {name: reason for name, reason in reasons.items() if reason is not None}
    assert set(refused) == {"predictions", "grad-cam"}
    assert all("no class scores" in reason for reason in refused.values())


def test_files_are_small_when_they_are_committed():
    sizes = [file.stat().st_size for file in (BUILT_IN_MODELS / "glyphs").glob("*/model.keras")]
    assert len(sizes) == len(VERSIONS)
    assert max(sizes) <= 400_000


def _measure(model: Model) -> Figures:
    glyphs, labels = draw_glyphs(np.random.default_rng(FRESH_SEED), COUNT)
    images = [model.preprocessing.apply(glyph[..., None]) for glyph in glyphs]
    answers = [model.probe.activations(image, ["latent", "glyph"]) for image in images]
    latents = np.stack([latent.values for latent, _ in answers])
    decoded = np.stack([reconstruction.values for _, reconstruction in answers])
    return Figures(float(np.mean((decoded - np.stack(images)) ** 2)), measure_silhouette(latents, labels))
