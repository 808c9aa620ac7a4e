"""The numbers of several versions as curves: which are followed, in which order."""

import numpy as np

from service.engine.methods.autoencoder_latents import MAX_CURVES
from service.engine.methods.autoencoder_latents import follow as follow_codes
from service.engine.methods.layer_health import follow as follow_layers
from service.engine.plots import draw_scatter
from service.engine.visuals import Scatter


def _codes(mean: list[float], std: list[float]) -> dict[str, dict[str, list[float]]]:
    return {"ranges": {"mean": mean, "std": std}}


def test_each_unit_is_a_curve_in_the_order_of_versions():
    curves = follow_codes([("1", _codes([0, 5], [1, 1])), ("3", _codes([2, 4], [1, 1]))])
    assert curves.groups == ("unit 0", "unit 0", "unit 1", "unit 1")
    assert curves.points.tolist() == [[1, 0], [3, 2], [1, 5], [3, 4]]
    assert curves.connected


def test_the_units_that_vary_most_are_followed_when_there_are_many():
    deviations = [float(number % 7) for number in range(30)]
    curves = follow_codes([("1", _codes([0.0] * 30, deviations)), ("2", _codes([1.0] * 30, deviations))])
    units = [int(str(name).split()[1]) for name in dict.fromkeys(curves.groups)]
    assert len(units) == MAX_CURVES
    assert units == sorted(units)
    assert min(deviations[unit] for unit in units) >= 4


def test_each_layer_is_a_curve_by_the_last_versions_names():
    versions = [(str(number), {"layers": [{"layer": f"conv_{number}", "sparsity": number / 10}]}) for number in (1, 2)]
    curves = follow_layers(versions)
    assert curves.groups == ("conv_2", "conv_2")
    np.testing.assert_allclose(curves.points, [[1, 0.1], [2, 0.2]])


def test_curve_is_drawn_between_its_points_when_they_are_connected():
    points = np.array([[0, 0], [1, 1]], np.float32)

    def count_ink(*, connected: bool) -> int:
        drawing = draw_scatter(Scatter("curves", points, ("a", "a"), ("x", "y"), connected=connected), None)
        return int((drawing.pixels[100:400, 200:500].min(axis=-1) < 100).sum())

    assert count_ink(connected=True) > 300 > count_ink(connected=False)
