"""The silhouette, with numbers worked out by hand."""

import numpy as np
import pytest

from service.engine.methods.autoencoders.silhouette import measure_silhouette

LABELS = np.array([0, 0, 1, 1])


def test_silhouette_is_the_papers_when_groups_lie_on_a_line():
    points = np.array([[0.0], [2.0], [10.0], [12.0]])
    # Each is 2 from its own group; from the other, the outer two 11 and the inner two 9.
    assert measure_silhouette(points, LABELS) == pytest.approx((9 / 11 + 7 / 9) / 2)


def test_silhouette_counts_the_nearest_group_when_there_are_three():
    points = np.array([[0.0, 0.0], [0.0, 2.0], [8.0, 0.0], [8.0, 2.0], [100.0, 0.0], [100.0, 2.0]])
    labels = np.array([0, 0, 1, 1, 2, 2])
    near = (8.0 + np.hypot(8.0, 2.0)) / 2
    far = (92.0 + np.hypot(92.0, 2.0)) / 2
    expected = (4 * (near - 2.0) / near + 2 * (far - 2.0) / far) / 6
    assert measure_silhouette(points, labels) == pytest.approx(expected)


def test_silhouette_is_negative_when_groups_are_mixed():
    assert measure_silhouette(np.array([[0.0], [10.0], [0.0], [10.0]]), LABELS) < 0.0
