"""An autoencoder is cut in two at its latent, and nothing is lost in between."""

import numpy as np
import pytest

from service.engine.ports.network_info import Latent
from service.errors import ComputationFailedError, MethodUnavailableError
from tests.contract.probe.comparing import assert_close, precise
from tests.contract.probe.subjects import Network, Subject


def _latent(network: Network) -> Latent:
    latent = network.probe.network_info.latent
    assert latent is not None
    return latent


def test_latents_are_what_the_latent_layer_answers_flattened(subject: Subject):
    network = subject.autoencoder
    images = network.pictures(3)
    latents = network.probe.encode(images)
    assert latents.shape == (3, _latent(network).units)
    assert_close(latents, network.oracle.outputs(precise(images))[_latent(network).layer].reshape(3, -1))


def test_what_is_encoded_and_decoded_is_the_networks_output(subject: Subject):
    network = subject.autoencoder
    images = network.pictures(3)
    decoded = network.probe.decode(network.probe.encode(images))
    assert decoded.shape == images.shape
    assert_close(decoded, list(network.oracle.outputs(precise(images)).values())[-1])


def test_any_latent_can_be_decoded_alone_or_with_others(subject: Subject):
    network = subject.autoencoder
    # More than one pass may take.
    latents = np.random.default_rng(5).normal(size=(40, _latent(network).units)).astype(np.float32)
    together = network.probe.decode(latents)
    assert together.shape == (40, *network.pictures().shape[1:])
    for number in (0, 17, 39):
        assert_close(network.probe.decode(latents[number : number + 1])[0], together[number])
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_pictures_are_encoded_alike_alone_or_with_others(subject: Subject):
    images = subject.autoencoder.pictures(5)
    together = subject.autoencoder.probe.encode(images)
    for number in (0, 4):
        assert_close(subject.autoencoder.probe.encode(images[number : number + 1])[0], together[number])


def test_latents_of_another_width_cannot_be_decoded(subject: Subject):
    network = subject.autoencoder
    with pytest.raises(ComputationFailedError):
        network.probe.decode(np.zeros((2, _latent(network).units + 1), np.float32))


def test_coding_is_refused_where_there_is_no_latent(scoring: Network):
    with pytest.raises(MethodUnavailableError):
        scoring.probe.encode(scoring.pictures(2))
    with pytest.raises(MethodUnavailableError):
        scoring.probe.decode(np.zeros((2, 3), np.float32))
