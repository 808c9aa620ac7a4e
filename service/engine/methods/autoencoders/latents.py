"""Latents: where the pictures of a dataset lie in an autoencoder's latent, and what it decodes in between.

A latent of more than two units is looked at along its two principal components, which the numbers say. A unit is active
where its variance over the dataset is above one percent of the greatest; that of Burda et al. 2015,
https://arxiv.org/abs/1509.00519, above 0.01, is told beside it, as it fits latents with a normal prior alone.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas.methods import MethodParams
from schemas.values.autoencoders import (
    ActiveUnits,
    LatentItem,
    LatentPlane,
    LatentsValues,
    Manifold,
    Silhouette,
    UnitRanges,
)
from service.engine.arrays import Array
from service.engine.drawing.visuals import Numbers, Scatter, Tiles
from service.engine.kinds.context import Batch, Context, Reduction, Summary
from service.engine.kinds.method import DatasetMethod
from service.engine.kinds.requirements import refuse_without_latent
from service.engine.methods.autoencoders.encoding import (
    EncodedPictures,
    Latents,
    encode_batches,
    gather,
    latent_of,
    require_modest,
)
from service.engine.methods.autoencoders.projection import Plane, find_plane
from service.engine.methods.autoencoders.silhouette import measure_silhouette
from service.engine.ports.probe import AutoencoderProbe, NetworkProbe

SLICE: Final = 128
ACTIVE_SHARE, BURDA_VARIANCE = 0.01, 0.01
RANGE: Final = (1, 99)
# More numbers than these are not listed picture by picture.
MAX_LISTED: Final = 200_000
MAX_CURVES: Final = 10
# The silhouette compares every picture with every other.
MAX_COMPARED: Final = 2000

Doubles = NDArray[np.float64]


class AutoencoderLatentsParams(MethodParams):
    """Parameters of `autoencoder-latents`."""

    steps: int = Field(15, ge=2, le=40, description="Pictures in a row, and rows, of the decoded plane.")


def autoencoder_latents(
    probe: AutoencoderProbe, batches: Iterator[Batch], _: AutoencoderLatentsParams, __: Context
) -> Numbers[EncodedPictures]:
    """The latents of a slice of the dataset, for `reduce`."""
    return Numbers(latent_of(probe.network_info).layer, encode_batches(probe, batches))


def reduce(chunks: Sequence[EncodedPictures], reduction: Reduction, params: AutoencoderLatentsParams) -> Summary:
    """All pictures in one plane, and the decoder's pictures all over it."""
    probe = reduction.probe
    latent, latents = latent_of(probe.network_info), gather(chunks)
    plane = find_plane(latents.values)
    places = plane.project(latents.values)
    scatter = Scatter("latents", np.asarray(places, np.float32), latents.labels, plane.axes, own_axes=plane.principal)
    low, high = np.percentile(places, RANGE, axis=0)
    manifold = Tiles(
        "manifold", latent.layer, _decode(probe, plane, (low, high), params.steps), "picture", columns=params.steps
    )
    is_listed = latents.values.size <= MAX_LISTED
    values = LatentsValues(
        units=latent.units,
        shape=list(latent.shape),
        plane=LatentPlane(
            axes=list(plane.axes),
            principal_components=plane.principal,
            explained_variance=list(plane.explained),
            manifold=Manifold(low=low.tolist(), high=high.tolist()),
        ),
        silhouette=_measure_silhouette(places, latents.labels),
        active_units=_count_active(latents.values),
        ranges=_measure_ranges(latents.values),
        latents_left_out=None
        if is_listed
        else f"{latents.values.size} numbers are more than the {MAX_LISTED} that are listed",
        items=_list_items(latents, places, is_listed=is_listed),
    )
    by_unit = {f"unit {unit}": column for unit, column in enumerate(latents.values.T)}
    return Summary([scatter, manifold], values, by_unit)


def follow(versions: Sequence[tuple[str, LatentsValues]]) -> Scatter:
    """The mean of each unit over the dataset, version by version; of many units those that vary most in the last."""
    deviations = np.asarray(versions[-1][1].ranges.std)
    units = sorted(np.argsort(-deviations, kind="stable")[:MAX_CURVES].tolist())
    points = [(float(version), values.ranges.mean[unit]) for unit in units for version, values in versions]
    groups = tuple(f"unit {unit}" for unit in units for _ in versions)
    return Scatter(
        "curves", np.asarray(points, np.float32), groups, ("version", "mean over the dataset"), connected=True
    )


def place(values: LatentsValues) -> Scatter:
    """The plane again, from its numbers."""
    points = np.asarray([item.place for item in values.items], np.float32)
    labels, plane = tuple(item.label for item in values.items), values.plane
    return Scatter("latents", points, labels, (plane.axes[0], plane.axes[1]), own_axes=plane.principal_components)


def _decode(probe: AutoencoderProbe, plane: Plane, bounds: tuple[Doubles, Doubles], steps: int) -> Array:
    """The plane from its upper left corner, row by row, as the scatter has its axes."""
    across, up = (np.linspace(low, high, steps) for low, high in zip(*bounds, strict=True))
    places = np.stack([np.tile(across, steps), np.repeat(up[::-1], steps)], axis=1)
    return probe.decode(plane.lift(places))


def _measure_silhouette(places: Doubles, labels: Sequence[str | None]) -> Silhouette:
    """Of the labels in the plane, over evenly chosen pictures; null with fewer than two labels of two pictures."""
    chosen = np.unique(np.linspace(0, len(labels) - 1, MAX_COMPARED).astype(int))
    names, numbers, counts = np.unique([labels[at] or "" for at in chosen], return_inverse=True, return_counts=True)
    several = (counts >= 2) & (names != "")
    used = several[numbers]
    if several.sum() < 2:
        return Silhouette(value=None, labels=int(several.sum()), pictures=int(used.sum()))
    _, groups = np.unique(numbers[used], return_inverse=True)
    value = measure_silhouette(places[chosen[used]], groups)
    return Silhouette(value=value, labels=int(several.sum()), pictures=int(used.sum()))


def _count_active(values: Array) -> ActiveUnits:
    variances = values.astype(np.float64).var(axis=0)
    active = np.flatnonzero(variances > ACTIVE_SHARE * variances.max())
    return ActiveUnits(
        count=len(active),
        units=active.tolist(),
        criterion=f"variance above {ACTIVE_SHARE:.0%} of the greatest",
        burda_count=int((variances > BURDA_VARIANCE).sum()),
    )


def _measure_ranges(values: Array) -> UnitRanges:
    """A number for each unit."""
    low, high = np.percentile(values, RANGE, axis=0)
    return UnitRanges(
        min=values.min(axis=0).tolist(),
        percentile_1=low.tolist(),
        mean=values.mean(axis=0, dtype=np.float64).tolist(),
        percentile_99=high.tolist(),
        max=values.max(axis=0).tolist(),
        std=values.std(axis=0, dtype=np.float64).tolist(),
    )


def _list_items(latents: Latents, places: Doubles, *, is_listed: bool) -> list[LatentItem]:
    """Every picture with its place and, where those are not too many numbers, its latent."""
    return [
        LatentItem(**dict(picture), place=place, latent=_shorten(latent) if is_listed else None)
        for picture, place, latent in zip(latents.pictures, places.tolist(), latents.values, strict=True)
    ]


def _shorten(values: Array) -> list[float]:
    """As few digits as tell each from its neighbours in single precision."""
    return [float(str(value)) for value in values]


def _check(probe: NetworkProbe, _: AutoencoderLatentsParams) -> None:
    require_modest(probe.network_info)


AUTOENCODER_LATENTS = DatasetMethod(
    name="autoencoder-latents",
    title="Latent plane (autoencoder)",
    description="Where the pictures of a dataset lie in an autoencoder's latent, and what it decodes in between.",
    params=AutoencoderLatentsParams,
    values=(LatentsValues,),
    chunk=EncodedPictures,
    compute=autoencoder_latents,
    reduce=reduce,
    refuse=refuse_without_latent,
    check=_check,
    slice=SLICE,
    compared="of each unit of the latent its values over the dataset",
    over_versions=follow,
    plane=place,
)
