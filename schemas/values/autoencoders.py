"""Numbers of autoencoders: errors, the plane of the latent, what each unit does."""

from pydantic import Field

from schemas.base import Schema
from schemas.values.base import Picture, Values, is_none
from schemas.values.datasets import DatasetValues, PictureItem


class Bounds(Schema):
    """The least and the greatest."""

    min: float
    max: float


class ErrorUnits(Schema):
    """The units that errors are in: those of the network's input."""

    preprocessing: str
    span: float = Field(description="From black to white.")


class ReconstructionValues(Values):
    """The error over all pixels and channels: decoded minus original."""

    mse: float = Field(description="The mean squared error, in squares of `units`.")
    mae: float = Field(description="The mean absolute error, in `units`.")
    psnr: float | None = Field(description="Peak signal-to-noise ratio in decibel; null where there is no error.")
    units: ErrorUnits
    error: Bounds


class ReconstructionItem(PictureItem, ReconstructionValues):
    """The reconstruction of one picture of a dataset."""


class WorstReconstruction(Picture):
    """One of the pictures with the greatest error."""

    mse: float


class ReconstructionsOverDataset(DatasetValues):
    """Reconstructions of a dataset: means of the errors, and the worst."""

    mse: float
    mae: float
    units: ErrorUnits
    worst: list[WorstReconstruction] = Field(description="The worst first.")
    items: list[ReconstructionItem]


class Manifold(Schema):
    """The part of the plane that the decoder's pictures are from, along both axes."""

    low: list[float]
    high: list[float]


class LatentPlane(Schema):
    """The plane in which pictures are shown."""

    axes: list[str]
    principal_components: bool = Field(description="Whether its axes are that, or the latent's own two units.")
    explained_variance: list[float] = Field(description="Share of the variance along each axis, 0…1.")
    manifold: Manifold


class Silhouette(Schema):
    """How well the labels lie apart in the plane (Rousseeuw 1987)."""

    value: float | None = Field(description="-1…1; null with fewer than two labels of two pictures.")
    labels: int
    pictures: int = Field(description="Pictures that it was measured on.")


class ActiveUnits(Schema):
    """Units whose variance over the dataset is more than a share of the greatest."""

    count: int
    units: list[int]
    criterion: str
    burda_count: int = Field(description="Units with a variance above 0.01 (Burda et al. 2015).")


class UnitRanges(Schema):
    """The latent over the dataset: a number for each unit."""

    min: list[float]
    percentile_1: list[float]
    mean: list[float]
    percentile_99: list[float]
    max: list[float]
    std: list[float]


class LatentItem(Picture):
    """Where one picture lies."""

    place: list[float] = Field(description="In the plane.")
    latent: list[float] | None = Field(None, exclude_if=is_none, description="Left out of very many numbers.")


class LatentsValues(DatasetValues):
    """Where the pictures of a dataset lie in an autoencoder's latent."""

    units: int
    shape: list[int] = Field(description="Of the latent, without the batch axis.")
    plane: LatentPlane
    silhouette: Silhouette
    active_units: ActiveUnits
    ranges: UnitRanges
    latents_left_out: str | None = Field(description="Why the items have no latents; null where they have.")
    items: list[LatentItem]


class Interpolation(Schema):
    """The way from one picture's latent to another's."""

    between: list[Picture]
    shares: list[float] = Field(description="Of the way, 0…1, for each picture decoded.")
    distance: float = Field(description="Between both latents.")


class TraversalValues(DatasetValues):
    """What each unit of the latent changes in what is decoded."""

    steps: int
    range: str = Field(description="Where the ends of each unit's range are from.")
    units: list[int]
    low: list[float]
    high: list[float]
    values: list[list[float]] = Field(description="Of each unit the values that it was given.")
    mean: list[float]
    std: list[float]
    interpolation: Interpolation | None = Field(
        None, exclude_if=is_none, description="Only where two pictures were named with `between`."
    )


class DecoderEffects(Schema):
    """What a unit of the latent adds to the picture, a deviation above its mean."""

    units: list[int]
    std: list[float]
    effect: list[float] = Field(description="Root mean square over all pixels, in the network's units.")


class CoefficientsValues(DatasetValues):
    """What the hidden units of an autoencoder look for, and what the latent's units do."""

    layer: str
    kind: str = Field(description="`weights`, or `mean input gradients`.")
    units: list[int]
    max_abs: list[float] = Field(description="The largest absolute value of each unit's picture.")
    norm: list[float] = Field(description="The Euclidean norm of each unit's picture.")
    decoder: DecoderEffects
