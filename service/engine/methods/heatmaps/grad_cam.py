"""Grad-CAM: where the network looks when it says a class.

Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391: `ReLU(sum_k w_k A_k)` with `w_k` the mean over the space of
the gradient of the class's logit with respect to channel k of the layer's activations A.
"""

import numpy as np
from pydantic import Field

from schemas.methods import ClassScores
from schemas.references import LayerReference
from schemas.rendering import HeatmapRendering
from schemas.values.heatmaps import HeatmapValues
from service.engine.arrays import Array
from service.engine.datasets.heat_groups import HEATMAPS_OVER_IMAGES
from service.engine.drawing.visuals import Heatmap
from service.engine.kinds.context import Context
from service.engine.kinds.method import ImageMethod
from service.engine.kinds.requirements import refuse_without_spatial_layer
from service.engine.ports.probe import GradientsProbe


class GradCamParams(ClassScores, HeatmapRendering):
    """Parameters of `grad-cam`."""

    layer: LayerReference | None = Field(
        None,
        description="A layer with spatial axes, by path, unique name or index; default: the last before the pooling.",
    )
    class_index: int | None = Field(
        None, ge=0, lt=2**31, description="The class to explain; default: the model's best.", examples=[3]
    )


def grad_cam(probe: GradientsProbe, image: Array, params: GradCamParams, _: Context) -> Heatmap:
    answer = probe.activations_and_gradients(image, layer=params.layer, class_index=params.class_index)
    weights = answer.gradients.mean(axis=(0, 1))  # (c,)
    values = np.maximum(answer.activations @ weights, 0)  # (h, w)
    return Heatmap(values, answer.layer, answer.target, answer.scores)


def _check(probe: GradientsProbe, params: GradCamParams) -> None:
    probe.require_target(layer=params.layer, class_index=params.class_index)


GRAD_CAM = ImageMethod(
    name="grad-cam",
    title="Class heat map (Grad-CAM)",
    description="Where in the picture the network finds its evidence for a class, as a heat map over the picture.",
    params=GradCamParams,
    values=(HeatmapValues,),
    compute=grad_cam,
    refuse=refuse_without_spatial_layer,
    check=_check,
    over_images=HEATMAPS_OVER_IMAGES,
    compared="the heat map at the size that the layer has, of the class that the last version is asked about",
)
