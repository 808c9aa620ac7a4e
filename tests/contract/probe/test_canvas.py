"""A layer on a canvas of any size: how it comes out, and what is refused before anything climbs."""

import numpy as np
import pytest

from service.errors import LayerNotFoundError, LayerWithoutFilterError, SizeUnsuitableError
from tests.contract.probe.ascents import climb, start_for
from tests.contract.probe.comparing import precise
from tests.contract.probe.subjects import Subject


@pytest.mark.parametrize("size", [(12, 12), (9, 14)])
def test_canvas_may_have_another_size_than_the_network(subject: Subject, size: tuple[int, int]):
    channels = subject.classifier.pictures().shape[-1]
    start = np.random.default_rng(3).normal(size=(1, *size, channels)).astype(np.float32)
    layer = subject.classifier.probe.layer_on_canvas(subject.layer, size)
    assert (layer.layer, len(layer.output_shape)) == (subject.layer, 3)
    climbed = climb(subject, 0, start=start)
    answers = subject.classifier.oracle.steps
    assert climbed.canvas.shape == start.shape
    output = precise(climbed.canvas)
    for path in [*answers][: [*answers].index(subject.layer) + 1]:
        output = answers[path](output)
    assert output.shape[1:] == layer.output_shape
    assert climbed.activations[0] == pytest.approx(output[..., 0].mean(), rel=1e-3)


def test_layer_comes_out_as_in_the_info_when_the_canvas_has_the_networks_size(subject: Subject):
    probe, size = subject.classifier.probe, subject.classifier.pictures().shape[1:3]
    for name in (subject.layer, subject.flat):
        found = probe.layer_on_canvas(name, size)
        assert (None, *found.output_shape) == probe.layer(name).output_shape
        assert found.filters == probe.layer(name).output_shape[-1]
        assert found.operations > 0
        assert found.values > 0


def test_ascent_is_refused_as_its_layer_on_the_canvas_is(subject: Subject):
    probe, start = subject.classifier.probe, start_for(subject, 0)
    layer, size = subject.unsuitable
    small = start[:, : size[0], : size[1]]
    for name, canvas, error in (
        ("nowhere", start, LayerNotFoundError),
        (subject.unplaced, start, LayerWithoutFilterError),
        (layer, small, SizeUnsuitableError),
    ):
        with pytest.raises(error):
            probe.layer_on_canvas(name, canvas.shape[1:3])
        with pytest.raises(error):
            climb(subject, 0, layer=name, start=canvas)
