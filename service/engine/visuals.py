"""What a method returns: what the picture *is*, never its colours or its size on screen."""

from dataclasses import dataclass

from service.engine.probe import Array, Scores, Target


@dataclass(frozen=True)
class Heatmap:
    """A scalar map over the picture: `values` (h, w) float32 at the layer's own resolution, unscaled."""

    values: Array
    layer: str
    target: Target
    scores: Scores


@dataclass(frozen=True)
class ScoreList:
    """No picture: the model's scores."""

    scores: Scores


Visual = Heatmap | ScoreList
