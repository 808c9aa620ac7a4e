"""Eigen-CAM: what the channels of a layer have in common, whatever the class.

Muhammad and Yeasin 2020, https://arxiv.org/abs/2008.00299: the activations along their first principal direction.
"""

import numpy as np
from pydantic import Field

from schemas.methods import ClassScores
from schemas.references import LayerReference
from schemas.rendering import HeatmapRendering
from schemas.values.heatmaps import HeatmapValues
from service.engine.arrays import Array
from service.engine.drawing.visuals import Heatmap
from service.engine.kinds.context import Context
from service.engine.kinds.method import ImageMethod
from service.engine.kinds.requirements import refuse_without_spatial_layer
from service.engine.ports.answers import Target
from service.engine.ports.probe import Probe


class EigenCamParams(ClassScores, HeatmapRendering):
    """Parameters of `eigen-cam`."""

    layer: LayerReference | None = Field(None, description="A layer with spatial axes; default: the last.")


def eigen_cam(probe: Probe, image: Array, params: EigenCamParams, _: Context) -> Heatmap:
    (found,) = probe.activations(image, [params.layer or probe.network_info.default_layer or "0"])
    flat = found.values.reshape(-1, found.values.shape[-1])
    centred = flat - flat.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    projected = (centred @ direction).reshape(found.values.shape[:2])
    scores = probe.scores(image)
    target = Target(scores.top, float(scores.values[scores.top]), "value", float(scores.values[scores.top]))
    return Heatmap(np.asarray(np.maximum(projected, 0), np.float32), found.layer, target, scores)


EIGEN_CAM = ImageMethod(
    name="eigen-cam",
    title="What channels have in common (Eigen-CAM)",
    description="The activations of a layer along their first principal direction, as a heat map.",
    params=EigenCamParams,
    values=(HeatmapValues,),
    compute=eigen_cam,
    refuse=refuse_without_spatial_layer,
    compared="the map at the size that the layer has",
)
