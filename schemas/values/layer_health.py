"""Numbers of layer health: every layer with filters over a dataset."""

from pydantic import Field

from schemas.base import Schema
from schemas.values.base import Values
from schemas.values.datasets import DatasetValues


class DuplicatePair(Schema):
    """Two filters that do one filter's work."""

    filters: list[int] = Field(description="Both of them.")
    kernel_cosine: float = Field(description="Of the angle between their kernels.")
    answer_cosine: float = Field(description="Of the angle between their answers, estimated.")


class ByChannel(Schema):
    """A number for each channel, over all places of all pictures."""

    mean: list[float] = Field(description="Mean answer.")
    max: list[float] = Field(description="Greatest answer.")
    sparsity: list[float] = Field(description="Share of exact zeros, 0…1.")
    fires: list[float] = Field(description="Share of pictures with an answer above zero somewhere, 0…1.")


class LayerHealth(Schema):
    """One layer over all pictures."""

    layer: str = Field(description="Its path.")
    read_at: str | None = Field(description="Where the filters' answer stands once it is normalised and activated.")
    type: str = Field(description="Keras's class of it.")
    depth: int = Field(description="Its place among the layers looked at, from 0.")
    channels: int = Field(description="How many filters it has.")
    rectified: bool = Field(description="Whether no answer is below zero, and some are zero.")
    mean: float = Field(description="Mean answer of all filters.")
    max: float = Field(description="Greatest answer of any filter.")
    sparsity: float = Field(description="Share of exact zeros, 0…1.")
    dead: list[int] = Field(description="Filters whose answer is the same at every place of every picture.")
    always_on: list[int] = Field(description="Filters of a rectified layer that are never zero.")
    duplicates: list[DuplicatePair] | None = Field(description="Null where there are too few answers to tell.")
    by_channel: ByChannel = Field(description="The same filter by filter.")


class SparsityByDepth(Schema):
    """How sparse the rectified layers are, from the first to the last."""

    layers: list[str] = Field(description="Their paths, from the input on.")
    sparsity: list[float] = Field(description="Share of exact zeros of each, 0…1.")
    rank_correlation: float | None = Field(
        description="Spearman's, of depth and sparsity, -1…1; null for fewer than three layers."
    )


class LayerHealthValues(DatasetValues):
    """Dead, always-on and duplicate filters over a dataset."""

    dead: int = Field(description="Dead filters of all layers.")
    always_on: int = Field(description="Filters of all layers that are always on.")
    duplicates: int = Field(description="Pairs of filters that are alike, in all layers.")
    sparsity_by_depth: SparsityByDepth = Field(description="Whether deeper layers are sparser.")
    layers: list[LayerHealth] = Field(description="Each layer by itself, from the input on.")


class LayerHealthCurve(Values):
    """What is followed over versions: the sparsity of a layer."""

    layer: str
    sparsity: float
