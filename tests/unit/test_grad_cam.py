"""Grad-CAM on a network whose heat map can be worked out by hand."""

import numpy as np
import pytest
from pydantic import ValidationError

from service.engine.methods.heatmaps.grad_cam import GradCamParams, grad_cam
from tests.unit.fakes import IDLE, ClosedFormProbe

RED, GREEN = 0, 1


def _image() -> np.ndarray:
    image = np.zeros((4, 6, 3), np.float32)
    image[1, 2, RED] = 12
    image[3, 5, GREEN] = 24
    return image


def test_map_is_the_weighted_maps_when_the_class_weighs_one_channel():
    # Gradient of logit 0 is 2/24 on red alone, so the map is red / 12.
    probe = ClosedFormProbe([[2, 0], [0, 3], [0, 0]])
    heatmap = grad_cam(probe, _image(), GradCamParams(class_index=0), IDLE)
    expected = np.zeros((4, 6))
    expected[1, 2] = 1.0
    np.testing.assert_allclose(heatmap.values, expected, atol=1e-6)


def test_negative_evidence_is_cut_off_when_weights_are_negative():
    probe = ClosedFormProbe([[2, 0], [-3, 0], [0, 0]])
    heatmap = grad_cam(probe, _image(), GradCamParams(class_index=0), IDLE)
    assert heatmap.values.min() == 0
    assert heatmap.values[3, 5] == 0
    assert heatmap.values[1, 2] == pytest.approx(1.0)


def test_best_class_is_explained_when_none_is_asked_for():
    probe = ClosedFormProbe([[2, 0], [0, 3], [0, 0]])
    heatmap = grad_cam(probe, _image(), GradCamParams(), IDLE)
    # Logits are 2 * 12/24 = 1 and 3 * 24/24 = 3.
    assert heatmap.target.index == 1
    assert heatmap.target.value == pytest.approx(3.0)
    assert heatmap.values[3, 5] == pytest.approx(3.0)


@pytest.mark.parametrize(
    "given",
    [
        {"opacity": 1.1},
        {"opacity": float("nan")},
        {"class_index": -1},
        {"class_index": 2**31},
        {"colormap": "rainbow"},
        {"scale": "fixed"},
        {"scale_max": 3.0},
        {"layr": "conv"},
        {"top": 0},
    ],
)
def test_parameters_are_refused_when_out_of_range(given: dict[str, object]):
    with pytest.raises(ValidationError):
        GradCamParams.model_validate(given)


def test_numbers_are_read_from_text_when_they_come_from_a_form():
    params = GradCamParams.model_validate({"class_index": "3", "opacity": "0.5", "scale": "fixed", "scale_max": "2"})
    assert (params.class_index, params.opacity, params.scale_max) == (3, 0.5, 2.0)
