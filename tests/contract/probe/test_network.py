"""What is known of a network without running it: its info, kernels and receptive fields."""

import numpy as np
import pytest

from service.engine.ports.answers import ReceptiveField
from service.errors import LayerWithoutKernelError
from tests.contract.probe.subjects import Network, Subject


def test_info_names_the_layers_that_the_oracle_has_in_order(subject: Subject):
    for network in (subject.classifier, subject.binary, subject.autoencoder):
        layers = network.probe.network_info.layers
        paths = [layer.path for layer in layers if layer.path in network.oracle.steps]
        assert paths == list(network.oracle.steps)
        assert len({layer.path for layer in layers}) == len(layers)


def test_shapes_in_the_info_are_those_of_the_answers(subject: Subject):
    for network in (subject.classifier, subject.binary, subject.autoencoder):
        layers = network.probe.network_info.layers
        answers = network.probe.activations(network.pictures()[0], [layer.path for layer in layers])
        for layer, answer in zip(layers, answers, strict=True):
            assert layer.output_shape == (None, *answer.values.shape), layer.path


def test_info_has_classes_where_there_are_scores_and_a_latent_where_there_is_a_decoder(subject: Subject):
    info = subject.classifier.probe.network_info
    assert (info.task, info.classes) == ("classification", _units(subject.classifier))
    assert (subject.binary.probe.network_info.task, subject.binary.probe.network_info.classes) == ("binary", 2)
    for scoring in (info, subject.binary.probe.network_info):
        assert scoring.default_layer in [layer.path for layer in scoring.layers]
        assert scoring.target_kind is not None
        assert scoring.latent is None
    coding = subject.autoencoder.probe.network_info
    assert (coding.task, coding.classes, coding.target_kind) == ("autoencoder", None, None)
    assert coding.latent is not None
    assert coding.latent.layer in [layer.path for layer in coding.layers]


def _units(network: Network) -> int:
    return int(network.oracle.logits(network.pictures().astype(np.float64)).shape[1])


def test_kernels_are_four_dimensional_whatever_the_layer(subject: Subject):
    probe = subject.classifier.probe
    for path, shapes in subject.kernels.items():
        kernels = probe.kernels(path)
        assert [kernel.values.shape for kernel in kernels] == shapes
        assert {(kernel.layer, kernel.values.dtype) for kernel in kernels} == {(path, np.dtype(np.float32))}
        # Several have names of their own.
        assert len({kernel.name for kernel in kernels}) == len(kernels)
        # The last axis counts the channels of what the layer answers.
        assert kernels[-1].values.shape[-1] == probe.layer(path).output_shape[-1]


def test_kernels_are_refused_where_there_are_none(subject: Subject):
    probe = subject.classifier.probe
    without = [layer.path for layer in probe.network_info.layers if layer.path not in subject.kernels]
    assert subject.unplaced in without
    for path in without:
        with pytest.raises(LayerWithoutKernelError):
            probe.kernels(path)


def test_position_sees_the_pixels_that_change_it_and_no_others(subject: Subject):
    network = subject.classifier
    image = network.pictures()[0]
    for layer in network.probe.network_info.layers:
        field = network.probe.receptive_field(layer.path, image.shape[:2])
        if not layer.is_map:
            assert field is None, layer.path
            continue
        changes = _changes(network, layer.path)
        # (h, w) of the picture, then (h, w) of the map.
        assert field is not None, layer.path
        for row, column in np.ndindex(changes.shape[2:]):
            assert _seen(field, row, column, image.shape[:2]) == _bounds(changes[:, :, row, column]), layer.path


def _changes(network: Network, layer: str) -> np.ndarray:
    """(picture's h, w, map's h, w): which pixel moves which position, in all channels together."""
    image = network.pictures()[0]
    height, width = image.shape[:2]
    before = network.probe.activations(image, [layer])[0].values
    found = np.zeros((height, width, *before.shape[:2]), np.bool_)
    for row, column in np.ndindex(height, width):
        moved = image.copy()
        moved[row, column] += 2
        after = network.probe.activations(moved, [layer])[0].values
        found[row, column] = (np.abs(after - before) > 1e-6).any(axis=-1)
    return found


def _seen(field: ReceptiveField, row: int, column: int, size: tuple[int, int]) -> tuple[int, ...] | None:
    """A position's box, as far as it lies within the picture."""
    box = field.at(row, column)
    if box is None:
        return None
    top, left, bottom, right = box
    return max(top, 0), max(left, 0), min(bottom, size[0]), min(right, size[1])


def _bounds(changes: np.ndarray) -> tuple[int, ...] | None:
    """The smallest box about the pixels that matter."""
    rows, columns = np.nonzero(changes)
    return (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) if len(rows) else None
