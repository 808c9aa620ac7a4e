"""A network is only looked at, by as many threads as there are."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from service.engine.arrays import Array
from service.engine.ports.answers import LayerGradients
from service.engine.ports.ascent import Ascent, Canvas, FilterMeans, Schedule
from tests.contract.probe.comparing import assert_same
from tests.contract.probe.subjects import Network, Subject


def _questions(subject: Subject, seed: int = 0) -> list[Callable[[], Any]]:
    """Everything that runs a network."""
    classifier, autoencoder = subject.classifier.probe, subject.autoencoder.probe
    images, others = subject.classifier.pictures(3, seed), subject.autoencoder.pictures(2, seed)
    layer, flat = subject.layer, subject.flat
    signs = np.ones((3, 2, 5), np.float32)
    latent = autoencoder.network_info.latent
    assert latent is not None
    ascent = Ascent(FilterMeans(layer, (0, 1)), Canvas(images[:2], None), Schedule(5, 0.05, 2))
    return [
        lambda: classifier.scores(images[0]),
        lambda: classifier.scores_of(list(images)),
        lambda: subject.binary.probe.scores(images[0]),
        lambda: classifier.activations(images[0], [layer, flat]),
        lambda: classifier.channel_statistics(images, [flat, layer], signs),
        lambda: classifier.unit_activations(images, layer),
        lambda: classifier.activations_and_gradients(images[1], layer=layer),
        lambda: classifier.gradients_of(list(images), [0, None, 1]),
        lambda: classifier.unit_gradients(images, flat, [0, 1]),
        lambda: classifier.layer_on_canvas(layer, images.shape[1:3]),
        lambda: classifier.ascend(ascent, lambda _: None),
        lambda: autoencoder.encode(others),
        lambda: autoencoder.decode(np.full((2, latent.units), 0.5 + seed, np.float32)),
        lambda: classifier.kernels(layer),
        lambda: classifier.receptive_field(layer, images.shape[1:3]),
    ]


def test_networks_are_the_same_after_all_questions(subject: Subject):
    networks = (subject.classifier, subject.binary, subject.autoencoder)
    before = [network.weights() for network in networks]
    infos = [network.probe.network_info for network in networks]
    for ask in _questions(subject):
        ask()
    for network, weights, info in zip(networks, before, infos, strict=True):
        assert network.probe.network_info == info
        for one, other in zip(weights, network.weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_pictures_are_the_same_after_all_questions(subject: Subject):
    images = subject.classifier.pictures(3)
    kept = images.copy()
    probe = subject.classifier.probe
    probe.scores_of(list(images))
    probe.gradients_of(list(images), [None] * 3)
    probe.unit_gradients(images, subject.layer, [0])
    probe.channel_statistics(images, [subject.layer], np.ones((3, 1, 1), np.float32))
    np.testing.assert_array_equal(images, kept)


def test_answers_are_the_same_when_asked_twice(subject: Subject):
    for ask in _questions(subject):
        assert_same(ask(), ask())


def test_answers_are_the_same_when_many_threads_ask_at_once(subject: Subject):
    questions: Sequence[Callable[[], Any]] = [ask for seed in range(6) for ask in _questions(subject, seed)]
    expected = [ask() for ask in questions]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda ask: ask(), [*reversed(questions), *questions]))
    for one, other in zip(found, [*reversed(expected), *expected], strict=True):
        assert_same(one, other)


def test_classes_are_not_mixed_up_when_many_threads_ask_for_different_ones(scoring: Network):
    images = scoring.pictures(16)
    questions = [(image, number % 2) for number, image in enumerate([*images, *images, *images])]

    def ask(question: tuple[Array, int]) -> LayerGradients:
        image, index = question
        return scoring.probe.activations_and_gradients(image, class_index=index)

    expected = [ask(question) for question in questions]
    with ThreadPoolExecutor(16) as pool:
        assert_same(list(pool.map(ask, questions)), expected)
