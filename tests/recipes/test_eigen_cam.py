"""Eigen-CAM on a closed-form network: one channel varies, so that its rises are the map."""

import numpy as np
from service.engine.methods.heatmaps.eigen_cam import EigenCamParams, eigen_cam

from tests.unit.fakes import IDLE, ClosedFormProbe


def test_map_is_where_the_channel_that_varies_is_above_or_below_its_mean():
    image = np.zeros((4, 6, 3), np.float32)
    image[1, 2, 0] = 24
    heatmap = eigen_cam(ClosedFormProbe([[1.0], [0.0], [0.0]]), image, EigenCamParams(), IDLE)
    # The direction's sign is anybody's.
    assert sorted({round(float(value), 4) for value in heatmap.values.flat}) in ([0.0, 23.0], [0.0, 1.0])
