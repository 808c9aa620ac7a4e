"""Score-CAM: each channel as a mask over the picture, weighed by what the network says of what is left.

Wang et al. 2020, https://arxiv.org/abs/1910.01279: masks are a layer's channels, each from 0 to 1 at the picture's
size; weights are the softmax of the scores under the masks.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from schemas.methods import ClassScores
from schemas.references import LayerReference
from schemas.rendering import HeatmapRendering
from schemas.values.heatmaps import HeatmapValues
from service.engine.arrays import Array
from service.engine.datasets.mean_maps import resample
from service.engine.drawing.visuals import Heatmap, Numbers
from service.engine.kinds.context import Context, Reduction, Summary
from service.engine.kinds.method import ItemsMethod
from service.engine.kinds.packing import Chunk, PackedFloats
from service.engine.kinds.requirements import refuse_without_spatial_layer
from service.engine.ports.answers import LayerActivations, Target
from service.engine.ports.probe import Probe

BATCH = 8


class ScoreCamParams(ClassScores, HeatmapRendering):
    """Parameters of `score-cam`."""

    layer: LayerReference | None = Field(None, description="A layer with spatial axes; default: the last.")
    class_index: int | None = Field(None, ge=0, lt=2**31, description="The class; default: the model's best.")


class ScoreCamChunk(Chunk):
    """The scores of all classes under the masks of a chunk, (masks, classes)."""

    scores: PackedFloats


def cut(probe: Probe, params: ScoreCamParams, _: int) -> list[list[int]]:
    masks = list(range(probe.layer(_layer(probe, params)).output_shape[-1] or 0))
    return [masks[start : start + BATCH] for start in range(0, len(masks), BATCH)]


def score_masks(probe: Probe, image: Array | None, params: ScoreCamParams, context: Context) -> Numbers[ScoreCamChunk]:
    assert image is not None, "the method looks at a picture"
    maps = _maps(probe, image, params)
    found = []
    for done, item in enumerate(context.items):
        context.report(done / len(context.items))
        mask = resample(maps.values[..., item], image.shape[:2])
        span = float(np.ptp(mask)) or 1.0
        found.append(probe.scores(np.asarray(image * ((mask - mask.min()) / span)[..., None], np.float32)).values)
    return Numbers(maps.layer, ScoreCamChunk(scores=np.stack(found)))


def reduce(chunks: Sequence[ScoreCamChunk], reduction: Reduction, params: ScoreCamParams) -> Summary:
    assert reduction.image is not None, "the method looks at a picture"
    plain = reduction.probe.scores(reduction.image)
    index = plain.top if params.class_index is None else params.class_index
    under = np.concatenate([chunk.scores for chunk in chunks])[:, index]
    weights = np.exp(under - under.max()) / np.exp(under - under.max()).sum()
    maps = _maps(reduction.probe, reduction.image, params)
    score = float(plain.values[index])
    values = np.asarray(np.maximum(maps.values @ weights, 0), np.float32)
    return Summary([Heatmap(values, maps.layer, Target(index, score, "value", score), plain)])


def _layer(probe: Probe, params: ScoreCamParams) -> str:
    return params.layer or probe.network_info.default_layer or "0"


def _maps(probe: Probe, image: Array, params: ScoreCamParams) -> LayerActivations:
    return probe.activations(image, [_layer(probe, params)])[0]


SCORE_CAM = ItemsMethod(
    name="score-cam",
    title="Class heat map by masks (Score-CAM)",
    description="Where the network finds its evidence for a class, by what is left of its score under masks.",
    params=ScoreCamParams,
    values=(HeatmapValues,),
    chunk=ScoreCamChunk,
    unit="masks",
    looks_at="image",
    cut=cut,
    compute=score_masks,
    reduce=reduce,
    refuse=refuse_without_spatial_layer,
)
