"""Numbers of autoencoders: errors, the plane of the latent, what each unit does."""

from pydantic import Field

from schemas.base import Schema
from schemas.values.base import Picture, Values, is_none
from schemas.values.datasets import DatasetValues, PictureItem


class Bounds(Schema):
    """The least and the greatest."""

    min: float = Field(description="The least.")
    max: float = Field(description="The greatest.")


class ErrorUnits(Schema):
    """The units that errors are in: those of the network's input."""

    preprocessing: str = Field(description="How pictures are brought into them.")
    span: float = Field(description="From black to white.")


class ReconstructionValues(Values):
    """The error over all pixels and channels: decoded minus original."""

    mse: float = Field(description="The mean squared error, in squares of `units`.")
    mae: float = Field(description="The mean absolute error, in `units`.")
    psnr: float | None = Field(description="Peak signal-to-noise ratio in decibel; null where there is no error.")
    units: ErrorUnits = Field(description="The units of the errors.")
    error: Bounds = Field(description="The least and the greatest difference of a pixel, in `units`.")


class ReconstructionItem(PictureItem, ReconstructionValues):
    """The reconstruction of one picture of a dataset."""


class WorstReconstruction(Picture):
    """One of the pictures with the greatest error."""

    mse: float = Field(description="Its mean squared error.")


class ReconstructionsOverDataset(DatasetValues):
    """Reconstructions of a dataset: means of the errors, and the worst."""

    mse: float = Field(description="The mean of the pictures' mean squared errors.")
    mae: float = Field(description="The mean of the pictures' mean absolute errors.")
    units: ErrorUnits = Field(description="The units of the errors.")
    worst: list[WorstReconstruction] = Field(description="The worst first.")
    items: list[ReconstructionItem] = Field(description="Every picture that was used.")


class Manifold(Schema):
    """The part of the plane that the decoder's pictures are from, along both axes."""

    low: list[float] = Field(description="The 1st percentile along each axis.")
    high: list[float] = Field(description="The 99th percentile along each axis.")


class LatentPlane(Schema):
    """The plane in which pictures are shown."""

    axes: list[str] = Field(description="What both axes are.")
    principal_components: bool = Field(description="Whether its axes are that, or the latent's own two units.")
    explained_variance: list[float] = Field(description="Share of the variance along each axis, 0…1.")
    manifold: Manifold = Field(description="Where the decoder's pictures are from.")


class Silhouette(Schema):
    """How well the labels lie apart in the plane (Rousseeuw 1987)."""

    value: float | None = Field(description="-1…1; null with fewer than two labels of two pictures.")
    labels: int = Field(description="Labels with two pictures or more.")
    pictures: int = Field(description="Pictures that it was measured on.")


class ActiveUnits(Schema):
    """Units whose variance over the dataset is more than a share of the greatest."""

    count: int = Field(description="How many are active.")
    units: list[int] = Field(description="Which are active.")
    criterion: str = Field(description="When a unit counts as active.")
    burda_count: int = Field(description="Units with a variance above 0.01 (Burda et al. 2015).")


class UnitRanges(Schema):
    """The latent over the dataset: a number for each unit."""

    min: list[float] = Field(description="The least.")
    percentile_1: list[float] = Field(description="The 1st percentile.")
    mean: list[float] = Field(description="The mean.")
    percentile_99: list[float] = Field(description="The 99th percentile.")
    max: list[float] = Field(description="The greatest.")
    std: list[float] = Field(description="The standard deviation.")


class LatentItem(Picture):
    """Where one picture lies."""

    place: list[float] = Field(description="In the plane.")
    latent: list[float] | None = Field(None, exclude_if=is_none, description="Left out of very many numbers.")


class LatentsValues(DatasetValues):
    """Where the pictures of a dataset lie in an autoencoder's latent."""

    units: int = Field(description="Numbers of the latent.")
    shape: list[int] = Field(description="Of the latent, without the batch axis.")
    plane: LatentPlane = Field(description="The plane that is drawn.")
    silhouette: Silhouette = Field(description="How well the labels lie apart in the plane.")
    active_units: ActiveUnits = Field(description="Which units say something.")
    ranges: UnitRanges = Field(description="Each unit over the dataset.")
    latents_left_out: str | None = Field(description="Why the items have no latents; null where they have.")
    items: list[LatentItem] = Field(description="Every picture that was used.")


class Interpolation(Schema):
    """The way from one picture's latent to another's."""

    between: list[Picture] = Field(description="Both pictures.")
    shares: list[float] = Field(description="Of the way, 0…1, for each picture decoded.")
    distance: float = Field(description="Between both latents.")


class TraversalValues(DatasetValues):
    """What each unit of the latent changes in what is decoded."""

    steps: int = Field(description="Pictures in a row.")
    range: str = Field(description="Where the ends of each unit's range are from.")
    units: list[int] = Field(description="The units, a row each.")
    low: list[float] = Field(description="Where each unit begins.")
    high: list[float] = Field(description="Where each unit ends.")
    values: list[list[float]] = Field(description="Of each unit the values that it was given.")
    mean: list[float] = Field(description="Each unit's mean over the dataset.")
    std: list[float] = Field(description="Each unit's standard deviation over the dataset.")
    interpolation: Interpolation | None = Field(
        None, exclude_if=is_none, description="Only where two pictures were named with `between`."
    )


class DecoderEffects(Schema):
    """What a unit of the latent adds to the picture, a deviation above its mean."""

    units: list[int] = Field(description="The units of the latent that vary most.")
    std: list[float] = Field(description="The standard deviation of each over the dataset.")
    effect: list[float] = Field(description="Root mean square over all pixels, in the network's units.")


class CoefficientsValues(DatasetValues):
    """What the hidden units of an autoencoder look for, and what the latent's units do."""

    layer: str = Field(description="The layer's path.")
    kind: str = Field(description="`weights`, or `mean input gradients`.")
    units: list[int] = Field(description="The units, or channels, that are drawn.")
    max_abs: list[float] = Field(description="The largest absolute value of each unit's picture.")
    norm: list[float] = Field(description="The Euclidean norm of each unit's picture.")
    decoder: DecoderEffects = Field(description="What units of the latent add to the picture.")
