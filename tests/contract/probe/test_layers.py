"""What layers answer: as they are, and boiled down to a few numbers for each channel."""

import numpy as np
import pytest

from service.engine.arrays import Array
from service.errors import NotFiniteError
from tests.contract.probe.comparing import assert_close, assert_same, flat, precise
from tests.contract.probe.subjects import Network, Subject


def _activations(network: Network, images: Array, layer: str) -> Array:
    """(n, positions, c), through the port."""
    return np.asarray(flat([network.probe.activations(image, [layer])[0].values for image in images]))


def _signs(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).choice([-1, 1], shape).astype(np.float32)


def test_activations_are_the_layers_outputs_in_the_order_asked(subject: Subject):
    for network in (subject.classifier, subject.binary, subject.autoencoder):
        image = network.pictures()[0]
        expected = network.oracle.outputs(precise(image[None]))
        asked = [*reversed(expected), *expected]
        answers = network.probe.activations(image, asked)
        assert [answer.layer for answer in answers] == asked
        for answer in answers:
            assert_close(answer.values, expected[answer.layer][0])


def test_several_layers_answer_as_each_does_alone(subject: Subject):
    probe, images = subject.classifier.probe, subject.classifier.pictures(3)
    layers = [subject.flat, subject.layer, subject.unplaced, subject.layer]
    alone = [probe.activations(images[0], [layer])[0] for layer in layers]
    assert_same(probe.activations(images[0], layers), alone)
    signs = _signs(3, 5, 16)
    apart = [probe.channel_statistics(images, [layer], signs)[0] for layer in layers]
    assert_same(probe.channel_statistics(images, layers, signs), apart)
    assert probe.activations(images[0], []) == []


def test_statistics_are_those_of_the_activations(subject: Subject):
    network = subject.classifier
    # Rows of zeros, so that there are exact ones to count.
    images = network.pictures(3) * np.asarray([1, 0, -2], np.float32)[:, None, None, None]
    signs = _signs(3, 4, 200)
    layers = [layer.path for layer in network.probe.network_info.layers]
    for layer, found in zip(layers, network.probe.channel_statistics(images, layers, signs), strict=True):
        answers = _activations(network, images, layer)
        assert (found.layer, found.positions) == (layer, answers.shape[1])
        assert_close(found.mean, answers.mean(axis=1))
        assert_close(found.greatest, answers.max(axis=1))
        assert_close(found.least, answers.min(axis=1))
        assert_close(found.zeros, (answers == 0).mean(axis=1))
        # With places for all positions, all count.
        assert_close(found.sketch, np.einsum("nkp,npc->kc", signs[:, :, : answers.shape[1]], answers), rtol=1e-3)


def test_sketch_is_linear_in_the_signs(subject: Subject):
    probe, images = subject.classifier.probe, subject.classifier.pictures(3)
    for places in (1, 7, 200):
        one, other = _signs(3, 4, places), _signs(3, 4, places, seed=1)
        sketches = [
            probe.channel_statistics(images, [subject.layer], signs)[0].sketch
            for signs in (one, other, np.float32(2) * one - np.float32(3) * other)
        ]
        np.testing.assert_allclose(sketches[2], 2 * sketches[0] - 3 * sketches[1], rtol=1e-3, atol=1e-3)
        assert np.ptp(sketches[0]) > 0


def test_sketch_is_of_positions_that_lie_evenly_where_there_are_fewer_places(subject: Subject):
    network, places = subject.classifier, 7
    image = network.pictures()
    # Row p asks for the position in place p alone.
    signs = np.eye(places, dtype=np.float32)[None]
    sketch = network.probe.channel_statistics(image, [subject.layer], signs)[0].sketch
    answers = _activations(network, image, subject.layer)[0]
    found = [int(np.abs(answers - row).sum(axis=1).argmin()) for row in sketch if row.any()]
    np.testing.assert_allclose(sketch[: len(found)], answers[found], rtol=1e-4, atol=1e-5)
    assert found[0] == 0
    assert len(set(np.diff(found))) == 1
    assert len(answers) / places <= found[1] < 2 * len(answers) / places


def test_unit_activations_are_those_of_the_activations(subject: Subject):
    network = subject.classifier
    images = network.pictures(3)
    for layer in network.probe.network_info.layers:
        found = network.probe.unit_activations(images, layer.path)
        answers = _activations(network, images, layer.path)
        assert (found.layer, found.shape) == (layer.path, layer.output_shape[1:-1])
        assert_close(found.mean, answers.mean(axis=1))
        assert_close(found.greatest, answers.max(axis=1))
        assert found.place.dtype == np.int32
        np.testing.assert_array_equal(found.place, answers.argmax(axis=1))


@pytest.mark.parametrize("count", [1, 3])
def test_place_is_the_first_of_several_that_answer_alike(subject: Subject, count: int):
    images = np.zeros_like(subject.classifier.pictures(count))
    for layer in subject.classifier.probe.network_info.layers:
        answers = _activations(subject.classifier, images, layer.path)
        found = subject.classifier.probe.unit_activations(images, layer.path)
        np.testing.assert_array_equal(found.place, answers.argmax(axis=1))
    # Of a picture that is the same everywhere, all of them.
    assert not subject.classifier.probe.unit_activations(images, subject.unplaced).place.any()


def test_what_is_boiled_down_is_refused_when_it_is_not_finite(subject: Subject):
    for network in (subject.classifier, subject.autoencoder):
        probe, images = network.probe, network.pictures(2)
        images[1, 2, 2] = np.nan
        layer = next(path for path in network.oracle.steps if path in (subject.layer, _latent_layer(network)))
        # As it is, anybody can see it.
        assert np.isnan(probe.activations(images[1], [layer])[0].values).any()
        with pytest.raises(NotFiniteError):
            probe.channel_statistics(images, [layer], _signs(2, 1, 1))
        with pytest.raises(NotFiniteError):
            probe.unit_activations(images, layer)
    with pytest.raises(NotFiniteError):
        probe.encode(images)
    with pytest.raises(NotFiniteError):
        probe.decode(probe.encode(images[:1]) * np.float32("nan"))


def _latent_layer(network: Network) -> str | None:
    latent = network.probe.network_info.latent
    return latent.layer if latent else None
