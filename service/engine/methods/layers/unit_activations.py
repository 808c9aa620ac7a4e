"""Unit activations: how strongly every unit of a layer answers to every picture of a dataset.

As in the tutorials, a grid of pictures by units: rows are pictures in the order of their names, columns are units, and
one colour scale is for all of it. Of a unit with space the greatest answer and the mean over all places are drawn, and
for some pictures, of each folder as many, the maps themselves, each unit on a scale that is the same for all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, zip_longest
from typing import Final, Literal

import numpy as np
from pydantic import Field

from schemas.methods import MethodParams
from schemas.references import LayerReference, Selection
from schemas.rendering import Colormap
from schemas.values.base import Picture
from schemas.values.units import ShownMaps, UnitActivationsValues, UnitItem, UnitSummary
from service.engine.arrays import Array
from service.engine.datasets.mean_maps import resample
from service.engine.datasets.pipelining import ask_each
from service.engine.drawing.visuals import Cell, CellRow, CellSheet, Matrix, Numbers
from service.engine.images.archive import Member
from service.engine.kinds.context import Batch, Context, Reduction, Summary
from service.engine.kinds.method import DatasetMethod
from service.engine.kinds.packing import Chunk, PackedFloats, PackedPixels
from service.engine.kinds.requirements import refuse_without_image
from service.engine.methods.units import UnitChoice
from service.engine.ports.probe import LayersProbe, NetworkProbe

SLICE: Final = 64
# What is kept of each picture until all are combined grows with them.
UNITS: Final = UnitChoice(default=256, most=512)
MAX_RAW_VALUES: Final = 1_000_000
# Of the sheet of maps.
MAX_MAP_IMAGES: Final = 32
MAP_UNITS, MAP_SIDE = 10, 64


class UnitActivationsParams(MethodParams):
    """Parameters of `unit-activations`."""

    layer: LayerReference | None = Field(
        None, description="A layer by path, unique name or index; default: the last maps before space is given up."
    )
    units: Selection | None = Field(
        None, description="Units or channels: `3`, `0,5`, `0-63` or `all`; default: the first 256.", examples=["0,2"]
    )
    scale: Literal["shared", "per_unit"] = Field(
        "shared", description="`shared`: one scale for all. `per_unit`: each column from its least to its greatest."
    )
    maps: int = Field(
        10,
        ge=0,
        le=MAX_MAP_IMAGES,
        description="Of so many pictures, the first of each folder in turn, the maps of ten units are drawn.",
    )
    colormap: Colormap = Field("viridis", description="Colour map of the answers.")
    values: Literal["none", "raw"] = Field(
        "none", description="`raw` adds each picture's numbers, unit by unit, for as many pictures as make a million."
    )


class UnitMaps(Chunk):
    """The maps of some units for one picture: (units, h, w) in 0…255, each from its least to its greatest number."""

    index: int
    low: PackedFloats
    high: PackedFloats
    maps: PackedPixels


class UnitActivationsChunk(Chunk):
    """The answers of a slice: mean and greatest of each picture and unit (2, n, units); None where there are none."""

    units: list[int]
    shape: list[int]
    pictures: list[Picture]
    answers: PackedFloats | None
    maps: list[UnitMaps]


def unit_activations(
    probe: LayersProbe, batches: Iterator[Batch], params: UnitActivationsParams, context: Context
) -> Numbers[UnitActivationsChunk]:
    """The answers to a slice of the dataset, and the maps of the pictures that are shown."""
    layer, units = UNITS.find(probe, params.layer, params.units)
    members: list[Member] = []
    answers: list[Array] = []
    maps: dict[int, Array] = {}
    shape: tuple[int, ...] = ()
    by_picture: dict[str, Array] = {}
    shown = choose_shown(context.members, params.maps)
    for batch, found in ask_each(lambda batch: probe.unit_activations(batch.inputs, layer), batches):
        units = units if units is not None else UNITS.choose(params.units, found.mean.shape[1])
        shape = found.shape
        members += batch.members
        by_picture |= {member.name: row for member, row in zip(batch.members, found.greatest, strict=True)}
        answers.append(np.stack([found.mean, found.greatest])[:, :, units])
        for member, image in zip(batch.members, batch.inputs, strict=True):
            if member.index in shown and len(shape) == 2:
                maps[member.index] = _draw_maps(probe, image, layer, units[:MAP_UNITS])
    chunk = UnitActivationsChunk(
        units=units or [],
        shape=list(shape),
        pictures=[Picture(index=member.index, name=member.name, label=member.label) for member in members],
        answers=np.concatenate(answers, axis=1) if answers else None,
        maps=[_pack_maps(index, maps[index]) for index in sorted(maps)],
    )
    return Numbers(layer, chunk, by_picture)


def reduce(chunks: Sequence[UnitActivationsChunk], reduction: Reduction, params: UnitActivationsParams) -> Summary:
    """The grids, and what each unit answers over the whole dataset."""
    chunks = [chunk for chunk in chunks if chunk.pictures]
    first = chunks[0]
    pictures = [picture for chunk in chunks for picture in chunk.pictures]
    means, greatest = np.concatenate([chunk.answers for chunk in chunks if chunk.answers is not None], axis=1)
    names, units = tuple(picture.name for picture in pictures), tuple(map(str, first.units))
    has_space = bool(first.shape)
    grids = {"greatest": greatest, "mean": means} if has_space else {"answers": greatest}
    drawn = {name: _scale(values) if params.scale == "per_unit" else values for name, values in grids.items()}
    folders = tuple(picture.label for picture in pictures)
    matrices = [Matrix(name, reduction.layer, each, names, units, folders) for name, each in drawn.items()]
    shown = [maps for chunk in chunks for maps in chunk.maps]
    most = MAX_RAW_VALUES // (len(units) * len(grids)) if params.values == "raw" else 0
    values = UnitActivationsValues(
        layer=reduction.layer,
        shape=first.shape,
        units=[_describe(unit, names, means[:, at], greatest[:, at]) for at, unit in enumerate(first.units)],
        items=_list_items(pictures, grids, most),
        maps=_list_shown(shown, pictures),
    )
    return Summary(chain(_illustrate(shown, pictures, first.units, reduction), matrices), values)


def _list_items(pictures: Sequence[Picture], grids: Mapping[str, Array], most: int) -> list[UnitItem]:
    """Every picture, and of the first `most` what the units answer."""

    def list_one(at: int, picture: Picture) -> UnitItem:
        told = {name: grid[at].tolist() for name, grid in grids.items()} if at < most else {}
        return UnitItem.model_validate(dict(picture) | told)

    return [list_one(at, picture) for at, picture in enumerate(pictures)]


def choose_shown(members: Sequence[Member], most: int) -> set[int]:
    """Indices of the first picture of each folder, then of the second of each, up to `most`.

    Of more folders than that, such as lie evenly among them.
    """
    folders: dict[str | None, list[int]] = {}
    for member in members:
        folders.setdefault(member.label, []).append(member.index)
    if len(folders) > most:
        names = list(folders)
        return {folders[names[number * len(names) // most]][0] for number in range(most)}
    turns = chain.from_iterable(zip_longest(*folders.values()))
    return set(islice((index for index in turns if index is not None), most))


def _list_shown(shown: Sequence[UnitMaps], pictures: Sequence[Picture]) -> ShownMaps:
    """Which pictures the sheet of maps has, and how many of the dataset's folders."""
    indices = {maps.index for maps in shown}
    found = [picture for picture in pictures if picture.index in indices]
    return ShownMaps(
        pictures=[picture.name for picture in found],
        folders=len({picture.label for picture in found}),
        of_folders=len({picture.label for picture in pictures}),
    )


def _describe(unit: int, names: Sequence[str], means: Array, greatest: Array) -> UnitSummary:
    return UnitSummary(
        unit=unit,
        mean=float(means.mean(dtype=np.float64)),
        greatest=float(greatest.max()),
        greatest_in=names[int(greatest.argmax())],
        silent=not (greatest.any() or means.any()),
    )


def _illustrate(
    shown: Sequence[UnitMaps], pictures: Sequence[Picture], units: Sequence[int], reduction: Reduction
) -> Iterator[CellSheet]:
    """Some pictures of each folder, each beside the maps of some units."""
    if not shown:
        return
    names = {picture.index: picture.name for picture in pictures}
    low = np.min([maps.low for maps in shown], axis=0)[:, None, None]
    high = np.max([maps.high for maps in shown], axis=0)[:, None, None]
    span = np.where(high > low, high - low, 1)

    def draw(packed: UnitMaps) -> CellRow:
        maps = np.asarray((_unpack_maps(packed) - low) / span, np.float32)
        cells = [Cell(values, f"unit {unit}") for values, unit in zip(maps, units[:MAP_UNITS], strict=True)]
        return CellRow(names[packed.index], (Cell(reduction.album(packed.index)), *cells))

    yield CellSheet("maps", reduction.layer, 1 + len(units[:MAP_UNITS]), map(draw, shown))


def _draw_maps(probe: LayersProbe, image: Array, layer: str, units: list[int]) -> Array:
    """(units, h, w), no side longer than MAP_SIDE."""
    values = probe.activations(image, [layer])[0].values[..., units]
    factor = min(1.0, MAP_SIDE / max(values.shape[:2]))
    height, width = (max(1, round(side * factor)) for side in values.shape[:2])
    return np.stack([resample(values[..., unit], (height, width)) for unit in range(len(units))])


def _pack_maps(index: int, values: Array) -> UnitMaps:
    """Each map from its own least to its greatest number, which are kept: other slices have other ones."""
    low, high = values.min(axis=(1, 2)), values.max(axis=(1, 2))
    span = np.where(high > low, high - low, 1)[:, None, None]
    shades = np.rint((values - low[:, None, None]) / span * 255).astype(np.uint8)
    return UnitMaps(index=index, low=low, high=high, maps=shades)


def _unpack_maps(packed: UnitMaps) -> Array:
    low, high = packed.low[:, None, None], packed.high[:, None, None]
    return np.asarray(low + packed.maps * ((high - low) / np.float32(255)), np.float32)


def _scale(values: Array) -> Array:
    """Each column in 0…1."""
    low, high = values.min(axis=0), values.max(axis=0)
    return np.asarray((values - low) / np.where(high > low, high - low, 1), np.float32)


def _check(probe: NetworkProbe, params: UnitActivationsParams) -> None:
    UNITS.find(probe, params.layer, params.units)


UNIT_ACTIVATIONS = DatasetMethod(
    name="unit-activations",
    title="Activations of all units",
    description="How strongly every unit of a layer answers to each picture of a dataset, as a grid.",
    params=UnitActivationsParams,
    values=(UnitActivationsValues,),
    chunk=UnitActivationsChunk,
    compute=unit_activations,
    reduce=reduce,
    refuse=refuse_without_image,
    check=_check,
    slice=SLICE,
    compared="for each picture the greatest answers of all units of the layer, whichever are drawn",
    own_scale=True,
)
