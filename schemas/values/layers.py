"""Numbers of a layer: its activations and its filters."""

from pydantic import Field

from schemas.base import Schema
from schemas.values.base import Numbers, Values, is_none
from schemas.values.datasets import DatasetValues, PictureItem


class LayerActivations(Values):
    """What the channels of a layer answer: statistics over all of them, whatever is drawn."""

    layer: str = Field(description="Its path.", examples=["conv4"])
    shape: list[int] = Field(description="Of the activations, without the batch axis.", examples=[[12, 12, 96]])
    min: float = Field(description="The least activation.")
    max: float = Field(description="The greatest activation.")
    mean: float = Field(description="The mean activation.")
    sparsity: float = Field(description="Share of exact zeros, 0…1.")
    dead_channels: list[int] = Field(description="Channels that are zero everywhere.")
    constant_channels: list[int] = Field(description="Channels that answer the same everywhere, and not zero.")
    empty: bool = Field(description="Whether every activation is zero.")
    channels: list[int] = Field(description="Channels that are drawn, in the order of the tiles.")
    page: int = Field(description="The page that is drawn, from 1.")
    pages: int = Field(description="How many pages the chosen channels fill.")
    map: Numbers | None = Field(
        None,
        exclude_if=is_none,
        description="The activations of the drawn channels, (h, w) of one or (h, w, channels); only with `values=raw`.",
    )


class ActivationsOfLayers(Values):
    """Activations of several layers, in the order asked."""

    layers: list[LayerActivations] = Field(description="Each layer by itself.")


class ActivationsValues(LayerActivations, ActivationsOfLayers):
    """Activations of one layer, whose numbers stand at the top as well."""


class ActivationsItem(PictureItem, ActivationsValues):
    """Activations of one layer for one picture of a dataset."""


class ActivationsOfLayersItem(PictureItem, ActivationsOfLayers):
    """Activations of several layers for one picture of a dataset."""


class ActivationsOverDataset(DatasetValues):
    """Activations of every picture of a dataset."""

    items: list[ActivationsItem | ActivationsOfLayersItem]


class DuplicateFilters(Schema):
    """Two filters whose kernels point the same way."""

    filters: list[int] = Field(description="Both of them.")
    cosine: float = Field(description="Of the angle between their weights, -1…1.")


class KernelValues(Values):
    """The weights of a kernel: statistics over all of them, whatever is drawn."""

    layer: str = Field(description="Its path.", examples=["conv1"])
    kernel: str = Field(description="Keras's name of it.", examples=["kernel"])
    shape: list[int] = Field(description="Height, width, inputs and filters.", examples=[[3, 3, 3, 32]])
    min: float = Field(description="The least weight.")
    max: float = Field(description="The greatest weight.")
    empty: bool = Field(description="Whether every weight is zero.")
    filters: list[int] = Field(description="Filters that are drawn.")
    channels: list[int] = Field(description="Input channels that are drawn of each.")
    page: int = Field(description="The page that is drawn, from 1.")
    pages: int = Field(description="How many pages the chosen filters fill.")
    norms: list[float] = Field(description="The Euclidean norm of each filter.")
    near_duplicates: list[DuplicateFilters] = Field(description="Most alike first, at most a hundred.")


class FiltersValues(KernelValues):
    """The layer's kernel; of a separable convolution the first."""

    kernels: list[KernelValues] | None = Field(
        None, exclude_if=is_none, description="Both kernels of a separable convolution; left out for others."
    )
