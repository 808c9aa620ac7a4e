"""Traversal: what each unit of an autoencoder's latent changes in what is decoded, and the way between two pictures.

A row for each unit: it goes through its range over the dataset, from the 1st to the 99th percentile or as asked, while
all others stay at their mean. Interpolation goes straight from one picture's latent to another's.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Self

import numpy as np
from pydantic import Field, StringConstraints, model_validator

from schemas.methods import MethodParams
from schemas.references import Selection
from schemas.values.autoencoders import Interpolation, TraversalValues
from service.engine.arrays import Array
from service.engine.drawing.visuals import Numbers, Tiles
from service.engine.kinds.context import Batch, Context, Reduction, Summary
from service.engine.kinds.method import DatasetMethod
from service.engine.kinds.packing import PackedFloats
from service.engine.kinds.requirements import refuse_without_latent
from service.engine.methods.autoencoders.encoding import (
    EncodedPictures,
    Latents,
    choose_units,
    encode_batches,
    gather,
    latent_of,
    require_modest,
)
from service.engine.ports.probe import AutoencoderProbe, NetworkProbe
from service.errors import PictureOutOfRangeError

SLICE: Final = 128
RANGE: Final = (1, 99)
MOST_ROWS: Final = 10


class AutoencoderTraversalParams(MethodParams):
    """Parameters of `autoencoder-traversal`."""

    units: Selection | None = Field(
        None, description="Units of the latent: `3`, `0,5`, `0-63` or `all`; default: the ten that vary most."
    )
    steps: int = Field(11, ge=2, le=40, description="Pictures in a row.")
    low: float | None = Field(None, description="Where each unit begins; default: its 1st percentile over the dataset.")
    high: float | None = Field(None, description="Where each unit ends; default: its 99th percentile over the dataset.")
    between: Annotated[str, StringConstraints(pattern=r"^\d{1,9},\d{1,9}$")] | None = Field(
        None, description="Two pictures of the dataset, by index, to go from one to the other.", examples=["0,5"]
    )

    @model_validator(mode="after")
    def _range_grows(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("'low' and 'high' go together: give both or neither")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("'low' has to be less than 'high'")
        return self

    @property
    def ends(self) -> tuple[int, ...]:
        """The two pictures to go between, or none."""
        return tuple(map(int, self.between.split(","))) if self.between else ()


class TraversalChunk(EncodedPictures):
    """And the pictures to go between, (h, w, c) in the network's units, by their index."""

    ends: dict[int, PackedFloats]


def autoencoder_traversal(
    probe: AutoencoderProbe, batches: Iterator[Batch], params: AutoencoderTraversalParams, _: Context
) -> Numbers[TraversalChunk]:
    """The latents of a slice of the dataset, and the pictures to go between, for `reduce`."""
    ends: dict[int, Array] = {}

    def keep_ends() -> Iterator[Batch]:
        for batch in batches:
            for member, values in zip(batch.members, batch.inputs, strict=True):
                if member.index in params.ends:
                    ends[member.index] = values
            yield batch

    found = encode_batches(probe, keep_ends())
    return Numbers(latent_of(probe.network_info).layer, TraversalChunk(**dict(found), ends=ends))


def reduce(chunks: Sequence[TraversalChunk], reduction: Reduction, params: AutoencoderTraversalParams) -> Summary:
    """A sheet of a row for each unit, and one row from a picture to the other."""
    latents = gather(chunks)
    sheet, values = _traverse(reduction.probe, latents, params)
    rows = sheet.values.reshape(len(values.units), params.steps, *sheet.values.shape[1:])
    by_unit = {f"unit {unit}": row for unit, row in zip(values.units, rows, strict=True)}
    if not params.ends:
        return Summary([sheet], values, by_unit)
    originals = {index: picture for chunk in chunks for index, picture in chunk.ends.items()}
    way, about = _interpolate(reduction.probe, latents, originals, params)
    return Summary([sheet, way], values.model_copy(update={"interpolation": about}), by_unit)


def _traverse(
    probe: AutoencoderProbe, latents: Latents, params: AutoencoderTraversalParams
) -> tuple[Tiles, TraversalValues]:
    latent, values = latent_of(probe.network_info), latents.values
    mean, deviation = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    units = choose_units(params.units, latent.units, deviation, MOST_ROWS)
    low, high = np.percentile(values[:, units], RANGE, axis=0)
    if params.low is not None and params.high is not None:
        low, high = np.full(len(units), params.low), np.full(len(units), params.high)
    rows = np.tile(mean.astype(np.float32), (len(units), params.steps, 1))
    ways = np.linspace(low, high, params.steps, axis=1)
    for row, unit in enumerate(units):
        rows[row, :, unit] = ways[row]
    decoded = probe.decode(rows.reshape(-1, latent.units))
    found = TraversalValues(
        steps=params.steps,
        range="as asked" if params.low is not None else "1st to 99th percentile over the dataset",
        units=units,
        low=low.tolist(),
        high=high.tolist(),
        values=ways.tolist(),
        mean=mean[units].tolist(),
        std=deviation[units].tolist(),
    )
    names, words = tuple(f"unit {unit}" for unit in units), tuple(f"{value:.3g}" for value in ways.flat)
    sheet = Tiles("traversal", latent.layer, decoded, "picture", columns=params.steps, rows=names, words=words)
    return sheet, found


def _interpolate(
    probe: AutoencoderProbe, latents: Latents, originals: Mapping[int, Array], params: AutoencoderTraversalParams
) -> tuple[Tiles, Interpolation]:
    """The pictures themselves at both ends of what is decoded. Raises PictureOutOfRangeError."""
    places = {picture.index: place for place, picture in enumerate(latents.pictures)}
    for end in params.ends:
        if end not in places:
            raise PictureOutOfRangeError(
                f"picture {end} is not in this dataset, or cannot be read: there are {len(places)} to go between"
            )
    first, last = (latents.values[places[end]] for end in params.ends)
    way = np.linspace(0, 1, params.steps, dtype=np.float32)[:, None]
    decoded = probe.decode(first + way * (last - first))
    before, after = (originals[end][None] for end in params.ends)
    ends = [latents.pictures[places[end]] for end in params.ends]
    tiles = Tiles(
        "interpolation",
        latent_of(probe.network_info).layer,
        np.concatenate([before, decoded, after]),
        "picture",
        columns=params.steps + 2,
        rows=("from picture to picture",),
        words=(ends[0].name, *(f"{share:.0%}" for share in way.flat), ends[1].name),
    )
    shares = [float(share) for share in way.flat]
    return tiles, Interpolation(between=ends, shares=shares, distance=float(np.linalg.norm(last - first)))


def _check(probe: NetworkProbe, params: AutoencoderTraversalParams) -> None:
    require_modest(probe.network_info)
    units = latent_of(probe.network_info).units
    choose_units(params.units, units, np.zeros(units), MOST_ROWS)


AUTOENCODER_TRAVERSAL = DatasetMethod(
    name="autoencoder-traversal",
    title="Traversal (autoencoder)",
    description="What each unit of an autoencoder's latent changes in the reconstruction, and the way between two.",
    params=AutoencoderTraversalParams,
    values=(TraversalValues,),
    chunk=TraversalChunk,
    compute=autoencoder_traversal,
    reduce=reduce,
    refuse=refuse_without_latent,
    check=_check,
    slice=SLICE,
    compared="of each unit that is gone through, so name 'units', what is decoded along its range",
)
