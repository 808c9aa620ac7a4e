"""Maps resampled, averaged and made small, by hand."""

import cv2
import numpy as np
import pytest

from service.engine.datasets.mean_maps import MAX_SIDE, MeanMap, divide_by_maximum, resample, shrink


@pytest.mark.parametrize("shape", [(14, 21), (9, 9), (1, 1), (40, 13)])
def test_map_is_resampled_with_half_pixel_centres_when_it_gets_larger(shape: tuple[int, int]):
    values = np.random.default_rng(0).random((5, 7)).astype(np.float32)[: shape[0], : shape[1]]
    expected = cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(resample(values, shape), expected, atol=1e-6)


def test_all_of_a_map_counts_when_it_gets_smaller():
    # Each new place is as wide as two old ones, and reaches as far again: weights 1, 3, 3, 1 within the map.
    values = np.array([[8, 0, 0, 0], [8, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(resample(values, (2, 2)), [[24 / 7, 0], [24 / 7, 0]], rtol=1e-6)
    np.testing.assert_allclose(resample(np.ones((9, 5), np.float32), (2, 3)), np.ones((2, 3)), rtol=1e-6)


def test_mean_is_that_of_maps_over_their_maxima_when_they_differ_in_strength():
    mean = MeanMap((1, 3))
    for values in ([[4, 2, 0]], [[0, 0.05, 0.1]], [[0, 0, 0]], [[0, 1e-13, 0]]):
        mean.add(divide_by_maximum(np.array(values, np.float32)))
    np.testing.assert_allclose(mean.values, [[0.25, 0.25, 0.25]], rtol=1e-6)
    assert MeanMap((1, 2)).values.tolist() == [[0, 0]]


def test_map_is_made_small_when_its_layer_is_large():
    small = shrink(np.ones((300, 150), np.float32))
    assert small.shape == (MAX_SIDE, MAX_SIDE // 2)
    np.testing.assert_allclose(small, 1, rtol=1e-6)
