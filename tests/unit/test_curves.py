"""The numbers of several versions as curves: which are followed, in which order."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from service.engine.drawing.charts import draw_side_by_side
from service.engine.drawing.planes import draw_planes
from service.engine.drawing.plots import draw_scatter
from service.engine.drawing.visuals import Scatter
from service.engine.methods.autoencoders.latents import MAX_CURVES
from service.engine.methods.autoencoders.latents import follow as follow_latents
from service.engine.methods.layers.layer_health import follow as follow_layers


def _latents(mean: list[float], std: list[float]) -> Any:
    """What is looked at of them."""
    return SimpleNamespace(ranges=SimpleNamespace(mean=mean, std=std))


def test_each_unit_is_a_curve_in_the_order_of_versions():
    curves = follow_latents([("1", _latents([0, 5], [1, 1])), ("3", _latents([2, 4], [1, 1]))])
    assert curves.groups == ("unit 0", "unit 0", "unit 1", "unit 1")
    assert curves.points.tolist() == [[1, 0], [3, 2], [1, 5], [3, 4]]
    assert curves.connected


def test_the_units_that_vary_most_are_followed_when_there_are_many():
    deviations = [float(number % 7) for number in range(30)]
    curves = follow_latents([("1", _latents([0.0] * 30, deviations)), ("2", _latents([1.0] * 30, deviations))])
    units = [int(str(name).split()[1]) for name in dict.fromkeys(curves.groups)]
    assert len(units) == MAX_CURVES
    assert units == sorted(units)
    assert min(deviations[unit] for unit in units) >= 4


def test_each_layer_is_a_curve_by_the_last_versions_names():
    layers = {number: SimpleNamespace(layer=f"conv_{number}", sparsity=number / 10) for number in (1, 2)}
    versions: Any = [(str(number), SimpleNamespace(layers=[layer])) for number, layer in layers.items()]
    curves = follow_layers(versions)
    assert curves.groups == ("conv_2", "conv_2")
    np.testing.assert_allclose(curves.points, [[1, 0.1], [2, 0.2]])


def _plane(points: list[list[float]], *, own_axes: bool) -> Scatter:
    return Scatter("latents", np.array(points, np.float32), ("a",) * len(points), ("x", "y"), own_axes=own_axes)


def _place(*, own_axes: bool) -> list[int]:
    """How many pixels across the points of each of two versions reach, the second ten times as far."""
    points = [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    planes = [_plane(points, own_axes=own_axes), _plane([[10 * x, 10 * y] for x, y in points], own_axes=own_axes)]
    pixels = draw_planes(["version 1", "version 2"], planes).pixels.astype(int)
    # Blue is the group's colour alone.
    blue = (pixels[..., 2] - pixels[..., 0]) > 80
    half = blue.shape[1] // 2
    return [int(np.ptp(np.flatnonzero(side.any(axis=0)))) for side in (blue[:, :half], blue[:, half:])]


def test_planes_of_versions_have_the_same_axes_when_those_are_units_of_the_code():
    small, large = _place(own_axes=False)
    assert 330 < large < 400
    assert small - 7 == pytest.approx((large - 7) / 10, abs=2)


def test_planes_of_versions_have_axes_of_their_own_when_those_are_principal_components():
    small, large = _place(own_axes=True)
    assert small == pytest.approx(large, abs=2)


def test_sheet_of_versions_has_full_rows_and_fits_a_screen():
    pixels = draw_side_by_side([(f"version {number}", np.zeros((300, 500, 3), np.uint8)) for number in range(6)]).pixels
    # Three columns of two, rather than four and two.
    assert pixels.shape[1] == 3 * 510 + 10
    assert (pixels.min(axis=-1) < 50).mean() > 0.85


def test_curve_is_drawn_between_its_points_when_they_are_connected():
    points = np.array([[0, 0], [1, 1]], np.float32)

    def count_ink(*, connected: bool) -> int:
        drawing = draw_scatter(Scatter("curves", points, ("a", "a"), ("x", "y"), connected=connected), None)
        return int((drawing.pixels[100:400, 200:500].min(axis=-1) < 100).sum())

    assert count_ink(connected=True) > 300 > count_ink(connected=False)
