"""Four families of keras.applications, flat or nested; `make families` does all nine, both ways."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest

from service.keras.files.loading import load_probe
from tests.families import FAMILIES, Family, Findings, build_nested, examine_flat, examine_nested, make_image

CASES = [
    ("VGG16", "flat"),
    ("MobileNetV2", "flat"),
    ("MobileNetV2", "nested"),
    ("ResNet50", "nested"),
    ("ConvNeXtTiny", "flat"),
]
# Its last maps are then as large as those of the others at theirs, and its first dense layer a quarter.
SIDES = {"VGG16": 64}
EXAMINE: dict[str, Callable[[Family], Findings]] = {"flat": examine_flat, "nested": examine_nested}


def _family(name: str) -> Family:
    family = next(family for family in FAMILIES if family.name == name)
    return replace(family, size=SIDES.get(name, family.size))


@cache
def _examine(name: str, form: str) -> Findings:
    keras.utils.clear_session()
    return EXAMINE[form](_family(name))


@pytest.fixture(params=CASES, ids="-".join)
def findings(request: pytest.FixtureRequest) -> Findings:
    return _examine(*request.param)


def test_scores_equal_the_network_when_it_is_replayed(findings: Findings):
    assert findings.scores_error < 1e-5


def test_softmax_of_the_logits_is_the_output_when_softmax_is_fused(findings: Findings):
    assert findings.softmax_error < 1e-6


def test_default_layer_is_the_last_maps_when_none_is_named(findings: Findings):
    assert findings.layer == findings.expected_layer


def test_activations_and_gradients_equal_the_oracle_when_the_best_class_is_explained(findings: Findings):
    assert findings.activations_error < 1e-4
    assert findings.gradients_error < 1e-4
    assert findings.correlation >= 0.999


def test_nothing_is_added_to_the_network_when_it_is_replayed(findings: Findings):
    assert findings.unchanged


def test_scores_equal_the_network_when_an_unbuilt_nest_is_saved_and_loaded(tmp_path: Path):
    family = _family("MobileNetV2")
    network = build_nested(family)
    network.layers[-1].build((None, 1280))
    with pytest.warns(UserWarning, match="not yet been built"):
        network.save(tmp_path / "nested.keras")
    probe = load_probe(tmp_path / "nested.keras")
    network.build((None, family.size, family.size, 3))
    image = make_image(family.size)
    assert np.abs(probe.scores(image).values - network(image[None], training=False)[0].numpy()).max() < 1e-5
    assert probe.network_info.default_layer == f"{network.layers[1].name}/{family.layer}"
