"""Scores are the network's own output."""

import numpy as np
import pytest

from service.errors import MethodUnavailableError
from tests.contract.probe.comparing import assert_close, precise
from tests.contract.probe.subjects import Network, Subject


def test_scores_are_what_the_network_puts_out(scoring: Network):
    images = scoring.pictures(3)
    outputs = list(scoring.oracle.outputs(precise(images)).values())[-1]
    for image, output in zip(images, outputs, strict=True):
        # A sigmoid's one number is the second class's.
        expected = np.asarray([1 - output[0], output[0]]) if len(output) == 1 else output
        scores = scoring.probe.scores(image)
        assert_close(scores.values, expected)
        assert scores.values.shape == (scoring.probe.network_info.classes,)
        assert scores.top == expected.argmax()


def test_scores_are_those_of_the_last_layer_of_a_classifier(subject: Subject):
    probe, image = subject.classifier.probe, subject.classifier.pictures()[0]
    (last,) = probe.activations(image, [probe.network_info.layers[-1].path])
    assert_close(probe.scores(image).values, last.values)


def test_two_scores_come_of_one_sigmoid(subject: Subject):
    values = subject.binary.probe.scores(subject.binary.pictures()[0]).values
    assert values.shape == (2,)
    assert values.sum() == pytest.approx(1, abs=1e-6)


def test_scores_are_refused_where_there_are_no_classes(subject: Subject):
    image = subject.autoencoder.pictures()[0]
    with pytest.raises(MethodUnavailableError):
        subject.autoencoder.probe.scores(image)
    with pytest.raises(MethodUnavailableError):
        subject.autoencoder.probe.activations_and_gradients(image)
    with pytest.raises(MethodUnavailableError):
        subject.autoencoder.probe.require_target(layer=None, class_index=None)
