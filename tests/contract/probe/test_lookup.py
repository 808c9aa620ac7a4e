"""A layer has three names, in every question that takes a layer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.engine.arrays import Array
from service.engine.ports.ascent import Ascent, Canvas, FilterMeans, Schedule
from service.engine.ports.probe import BatchProbe
from service.errors import LayerNotFoundError
from tests.contract.probe.comparing import assert_same
from tests.contract.probe.subjects import Subject


def _ascend(probe: BatchProbe, images: Array, layer: str) -> Any:
    ascent = Ascent(FilterMeans(layer, (0,)), Canvas(images[:1], None), Schedule(2, 0.5))
    return probe.ascend(ascent, lambda _: None)


QUESTIONS: dict[str, Callable[[BatchProbe, Array, str], Any]] = {
    "layer": lambda probe, _, layer: probe.layer(layer),
    "kernels": lambda probe, _, layer: probe.kernels(layer),
    "receptive_field": lambda probe, images, layer: probe.receptive_field(layer, images.shape[1:3]),
    "activations": lambda probe, images, layer: probe.activations(images[0], [layer]),
    "channel_statistics": lambda probe, images, layer: probe.channel_statistics(
        images, [layer], np.ones((len(images), 2, 4), np.float32)
    ),
    "unit_activations": lambda probe, images, layer: probe.unit_activations(images, layer),
    "activations_and_gradients": lambda probe, images, layer: probe.activations_and_gradients(images[0], layer=layer),
    "gradients_of": lambda probe, images, layer: probe.gradients_of(list(images), [None, 0], layer=layer),
    "unit_gradients": lambda probe, images, layer: probe.unit_gradients(images, layer, [0]),
    "require_target": lambda probe, _, layer: probe.require_target(layer=layer, class_index=None),
    "layer_on_canvas": lambda probe, images, layer: probe.layer_on_canvas(layer, images.shape[1:3]),
    "ascend": _ascend,
}
every_question = pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)


@every_question
def test_layer_is_found_when_it_is_named_by_path_by_name_or_by_index(
    subject: Subject, ask: Callable[[BatchProbe, Array, str], Any]
):
    probe, images = subject.classifier.probe, subject.classifier.pictures(2)
    paths = [layer.path for layer in probe.network_info.layers]
    by_path = ask(probe, images, subject.layer)
    for reference in (subject.layer.rsplit("/", 1)[-1], str(paths.index(subject.layer))):
        assert reference != subject.layer
        assert_same(ask(probe, images, reference), by_path)


@every_question
def test_error_says_that_a_layer_is_not_found_when_nothing_or_too_much_is_called_so(
    subject: Subject, ask: Callable[[BatchProbe, Array, str], Any]
):
    probe, images = subject.classifier.probe, subject.classifier.pictures(2)
    count = len(probe.network_info.layers)
    for reference in (
        "nowhere",
        "no/where",
        f"{subject.layer}/",
        str(count),
        "9" * 5000,
        "-1",
        "",
        subject.shared_name,
    ):
        # No layer at all means the default one, where there is a default.
        if reference or ask not in DEFAULTING:
            with pytest.raises(LayerNotFoundError):
                ask(probe, images, reference)


DEFAULTING = [QUESTIONS[name] for name in ("activations_and_gradients", "gradients_of", "require_target")]


def test_every_layer_is_the_one_of_its_index_and_path(subject: Subject):
    probe = subject.classifier.probe
    for index, layer in enumerate(probe.network_info.layers):
        for reference in (layer.path, str(index)):
            assert probe.layer(reference).path == layer.path
            assert probe.layer(reference).output_shape == layer.output_shape


def test_all_are_refused_when_one_of_several_layers_is_not_found(subject: Subject):
    probe, images = subject.classifier.probe, subject.classifier.pictures(2)
    with pytest.raises(LayerNotFoundError):
        probe.activations(images[0], [subject.layer, "nowhere"])
    with pytest.raises(LayerNotFoundError):
        probe.channel_statistics(images, [subject.layer, "nowhere"], np.ones((2, 2, 4), np.float32))
