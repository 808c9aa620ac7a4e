"""Several pictures together are each as alone, in the order given."""

import pytest

from service.engine.ports.probe import BatchProbe
from tests.contract.probe.comparing import assert_same
from tests.contract.probe.subjects import Network, Subject

# An odd number of them, and one that comes twice.
ORDER = [0, 3, 1, 3, 2]


def test_probe_says_that_it_takes_several(subject: Subject):
    for network in (subject.classifier, subject.binary, subject.autoencoder):
        assert isinstance(network.probe, BatchProbe)


def test_scores_of_several_are_each_ones_in_order(scoring: Network):
    images = [scoring.pictures(4)[number] for number in ORDER]
    found = scoring.probe.scores_of(images)
    assert_same(found, [scoring.probe.scores(image) for image in images])
    assert_same(found[1], found[3])
    assert len({scores.values.tobytes() for scores in found}) == 4


def test_gradients_of_several_are_each_ones_with_a_class_of_its_own(scoring: Network):
    images = [scoring.pictures(4)[number] for number in ORDER]
    classes = [0, None, 1, 1, None]
    found = scoring.probe.gradients_of(images, classes)
    alone = [
        scoring.probe.activations_and_gradients(image, class_index=index)
        for image, index in zip(images, classes, strict=True)
    ]
    assert_same(found, alone)
    assert [found[number].target.index for number in (0, 2, 3)] == [0, 1, 1]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_gradients_of_several_are_at_the_layer_that_is_named(subject: Subject, count: int):
    probe, images = subject.classifier.probe, list(subject.classifier.pictures(count))
    found = probe.gradients_of(images, [1] * count, layer=subject.layer)
    assert_same(found, [probe.activations_and_gradients(one, layer=subject.layer, class_index=1) for one in images])
    assert {one.layer for one in found} == {subject.layer}
