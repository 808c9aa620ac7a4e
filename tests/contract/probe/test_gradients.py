"""Gradients are the slopes of what they are said to be of, by central differences of an independent network."""

from typing import Any

import numpy as np
import pytest

from service.engine.arrays import Array
from service.engine.ports.answers import LayerGradients, Scores
from service.errors import ClassOutOfRangeError, LayerNotFoundError, LayerNotSpatialError
from tests.contract.probe.comparing import assert_close, assert_same, precise, slope
from tests.contract.probe.subjects import Network, Subject, Values


def _maps(network: Network) -> list[str]:
    """The layers of the oracle that can lie over the picture."""
    return [path for path in network.oracle.steps if network.probe.layer(path).is_map]


def _differentiated(network: Network, layer: str, image: Array, index: int) -> Values:
    """The slope of a class's logit along a layer's output."""
    maps = network.oracle.outputs(precise(image[None]))[layer][0]
    return slope(lambda maps: network.oracle.logits(maps, after=layer)[:, index], maps)


def test_gradients_are_the_logits_slopes_at_each_layer_with_space(scoring: Network):
    (image,) = scoring.pictures()
    for layer in _maps(scoring):
        for index in range(scoring.probe.network_info.classes or 0):
            found = scoring.probe.activations_and_gradients(image, layer=layer, class_index=index)
            assert found.layer == layer
            assert_close(found.activations, scoring.oracle.outputs(precise(image[None]))[layer][0])
            assert_close(found.gradients, _differentiated(scoring, layer, image, index), rtol=1e-3)


def test_target_is_the_class_that_was_asked_for(scoring: Network):
    (image,) = scoring.pictures()
    scores = scoring.probe.scores(image)
    logits = scoring.oracle.logits(precise(image[None]))[0]
    for index in range(len(scores.values)):
        found = scoring.probe.activations_and_gradients(image, class_index=index)
        assert (found.target.index, found.target.kind) == (index, "logit")
        assert found.target.score == pytest.approx(scores.values[index], rel=1e-4)
        assert found.target.value == pytest.approx(logits[index], rel=1e-4, abs=1e-5)
        assert_same(Scores(found.scores.values), scores)


def test_best_class_and_default_layer_are_taken_when_nothing_is_named(scoring: Network):
    for image in scoring.pictures(4):
        found = scoring.probe.activations_and_gradients(image)
        layer, best = scoring.probe.network_info.default_layer, scoring.probe.scores(image).top
        assert (found.layer, found.target.index) == (layer, best)
        assert_same(found, scoring.probe.activations_and_gradients(image, layer=layer, class_index=best))
    tops = {scoring.probe.scores(image).top for image in scoring.pictures(20)}
    # Else the best would be any.
    assert len(tops) > 1


def test_one_class_of_a_sigmoid_has_the_slopes_of_the_other_turned_over(subject: Subject):
    (image,) = subject.binary.pictures()
    first, second = (
        subject.binary.probe.activations_and_gradients(image, class_index=index).gradients for index in (0, 1)
    )
    assert np.abs(first).max() > 0
    np.testing.assert_allclose(first, -second, rtol=1e-5, atol=1e-7)


BAD: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"class_index": -1}, ClassOutOfRangeError),
    ({"class_index": 10**6}, ClassOutOfRangeError),
    ({"layer": "nowhere"}, LayerNotFoundError),
    ({"layer": "FLAT"}, LayerNotSpatialError),
]


@pytest.mark.parametrize(("asked", "error"), BAD)
def test_what_cannot_be_differentiated_is_refused_beforehand_and_when_asked(
    subject: Subject, asked: dict[str, Any], error: type[Exception]
):
    probe, (image,) = subject.classifier.probe, subject.classifier.pictures()
    layer = subject.flat if asked.get("layer") == "FLAT" else asked.get("layer")
    index = asked.get("class_index")
    with pytest.raises(error):
        probe.require_target(layer=layer, class_index=index)
    with pytest.raises(error):
        probe.activations_and_gradients(image, layer=layer, class_index=index)
    with pytest.raises(error):
        probe.gradients_of([image, image], [None, index], layer=layer)


def test_first_class_that_does_not_exist_is_the_count_of_classes(scoring: Network):
    probe, (image,) = scoring.probe, scoring.pictures()
    count = probe.network_info.classes or 0
    probe.require_target(layer=None, class_index=count - 1)
    found: LayerGradients = probe.activations_and_gradients(image, class_index=count - 1)
    assert found.target.index == count - 1
    with pytest.raises(ClassOutOfRangeError):
        probe.require_target(layer=None, class_index=count)


def test_unit_gradients_are_the_slopes_of_units_meant_over_pictures(subject: Subject):
    for network in (subject.classifier, subject.binary, subject.autoencoder):
        images = network.pictures(3)
        for path, output in network.oracle.outputs(precise(images)).items():
            count = output[0].size
            units = [count - 1, 0, count // 2]
            found = network.probe.unit_gradients(images, path, units)
            expected = [
                np.mean([_unit_slope(network, path, unit, image) for image in images], axis=0) for unit in units
            ]
            assert_close(found, np.stack(expected), rtol=1e-3)


def _unit_slope(network: Network, path: str, unit: int, image: Array) -> Values:
    def answer(images: Values) -> Values:
        return network.oracle.outputs(images)[path].reshape(len(images), -1)[:, unit]

    return slope(answer, precise(image))


def test_same_unit_may_be_asked_for_twice(subject: Subject):
    probe, images = subject.classifier.probe, subject.classifier.pictures(2)
    found = probe.unit_gradients(images, subject.layer, [1, 0, 1])
    np.testing.assert_array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 0
