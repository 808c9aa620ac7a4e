"""Top images: for each unit of a layer the pictures of a dataset that excite it most, and the patches where they do.

As in Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901: one place of each picture, that of the unit's greatest
answer, and around it what the unit can see there: its receptive field, worked out on the graph, with gray where that
reaches beyond the picture. Where a network does what that arithmetic does not know, the patch is three steps of the
map wide, around the place's own share of the picture. A unit without space has no patch; a picture to which a unit
answers nothing but zeros is no picture that excites it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydantic import Field

from schemas.methods import MethodParams
from schemas.references import LayerReference, Selection
from schemas.values.units import TopImage, TopImagesOfUnit, TopImagesValues
from service.engine.arrays import Array, Pixels
from service.engine.datasets.pipelining import ask_each
from service.engine.drawing.visuals import Cell, CellRow, CellSheet, Numbers
from service.engine.finite import require_finite
from service.engine.kinds.context import Album, Batch, Context, Reduction, Summary
from service.engine.kinds.method import DatasetMethod
from service.engine.kinds.packing import Chunk
from service.engine.kinds.requirements import refuse_without_image
from service.engine.methods.units import UnitChoice
from service.engine.ports.answers import Box, ReceptiveField, UnitActivations
from service.engine.ports.probe import LayersProbe, NetworkProbe

SLICE: Final = 64
UNITS: Final = UnitChoice(default=16, most=64)
# Of the map, where the receptive field is not known.
_STEPS: Final = 3
_GRAY: Final = 128


class TopImagesParams(MethodParams):
    """Parameters of `top-images`."""

    layer: LayerReference | None = Field(
        None, description="A layer by path, unique name or index; default: the last maps before space is given up."
    )
    units: Selection | None = Field(
        None, description="Units or channels: `3`, `0,5`, `0-63` or `all`; default: the first 16.", examples=["0,2"]
    )
    top: int = Field(8, ge=1, le=16, description="Pictures for each unit, that which excites it most first.")


@dataclass(frozen=True)
class _Winner:
    """One picture of a unit. `patch` (top, left, bottom, right) may reach beyond it; None without space."""

    value: float
    index: int
    name: str
    position: tuple[int, int] | None
    patch: Box | None


class TopImagesChunk(Chunk):
    """The best of a slice, for each unit."""

    units: list[TopImagesOfUnit]


def top_images(
    probe: LayersProbe, batches: Iterator[Batch], params: TopImagesParams, _: Context
) -> Numbers[TopImagesChunk]:
    """The best of a slice of the dataset, for each unit."""
    layer, units = UNITS.find(probe, params.layer, params.units)
    fields: dict[tuple[int, int], ReceptiveField | None] = {}
    best: dict[int, list[_Winner]] = {}
    by_picture: dict[str, Array] = {}
    for batch, found in ask_each(lambda batch: probe.unit_activations(batch.inputs, layer), batches):
        require_finite([found.mean, found.greatest])
        units = UNITS.choose(params.units, found.mean.shape[1]) if units is None else units
        by_picture |= {member.name: row for member, row in zip(batch.members, found.greatest, strict=True)}
        size = (batch.inputs.shape[1], batch.inputs.shape[2])
        if size not in fields:
            fields[size] = probe.receptive_field(layer, size)
        for unit in units:
            fresh = _find_winners(batch, found, unit, _Patches(found.shape, size, fields[size]))
            best[unit] = _choose_best([*best.get(unit, []), *fresh], params.top)
    return Numbers(layer, TopImagesChunk(units=[_rank(unit, best[unit]) for unit in best]), by_picture)


def reduce(chunks: Sequence[TopImagesChunk], reduction: Reduction, params: TopImagesParams) -> Summary:
    """The best of all slices: names, values, places and patches."""
    merged = _merge(chunks, params)
    values = TopImagesValues(layer=reduction.layer, units=[_rank(unit, winners) for unit, winners in merged])
    return Summary(_illustrate(merged, reduction, params.top), values)


def _illustrate(merged: Sequence[tuple[int, list[_Winner]]], reduction: Reduction, top: int) -> Iterator[CellSheet]:
    """A row for each unit: the patches, and the whole pictures with the patches marked."""
    album = reduction.album
    rows = [(f"unit {unit}" + ("" if winners else ", silent"), winners) for unit, winners in merged]
    if any(winner.patch for _, winners in rows for winner in winners):
        patches = (CellRow(label, tuple(_show_patch(winner, album) for winner in winners)) for label, winners in rows)
        yield CellSheet("patches", reduction.layer, top, patches)
    whole = (CellRow(label, tuple(_show_image(winner, album) for winner in winners)) for label, winners in rows)
    yield CellSheet("images", reduction.layer, top, whole)


@dataclass(frozen=True)
class _Patches:
    """Where a place of a map lies in the picture. `shape` is the map's, `size` (h, w) the picture's."""

    shape: tuple[int, ...]
    size: tuple[int, int]
    field: ReceptiveField | None

    def locate(self, place: int) -> tuple[tuple[int, int] | None, Box | None]:
        """The position in the map, and its patch; that of a position that sees nothing is None."""
        if len(self.shape) != 2 or self.shape == (1, 1):
            return None, None
        row, column = divmod(place, self.shape[1])
        box = self._share(row, column) if self.field is None else self.field.at(row, column)
        return (row, column), box and self._within(box)

    def _share(self, row: int, column: int) -> Box:
        """Some steps of the map, around the position's own share of the picture."""
        edges = []
        for axis, position in enumerate((row, column)):
            stride = self.size[axis] / self.shape[axis]
            first = round((position + 0.5) * stride - stride * _STEPS / 2)
            edges.append((first, first + max(1, round(stride * _STEPS))))
        (top, bottom), (left, right) = edges
        return top, left, bottom, right

    def _within(self, box: Box) -> Box:
        """What sees more than all of the picture sees the picture."""
        (top, left, bottom, right), (height, width) = box, self.size
        top, bottom = (0, height) if bottom - top >= height else (top, bottom)
        left, right = (0, width) if right - left >= width else (left, right)
        return top, left, bottom, right


def _find_winners(batch: Batch, found: UnitActivations, unit: int, patches: _Patches) -> Iterator[_Winner]:
    """Every picture of the batch that says anything to the unit."""
    for row, member in enumerate(batch.members):
        value = float(found.greatest[row, unit])
        if value == 0 and found.mean[row, unit] == 0:
            continue
        yield _Winner(value, member.index, member.name, *patches.locate(int(found.place[row, unit])))


def _choose_best(winners: Iterable[_Winner], top: int) -> list[_Winner]:
    return sorted(winners, key=lambda winner: (-winner.value, winner.index))[:top]


def _merge(chunks: Sequence[TopImagesChunk], params: TopImagesParams) -> list[tuple[int, list[_Winner]]]:
    found: dict[int, list[_Winner]] = {}
    for chunk in chunks:
        for item in chunk.units:
            found.setdefault(item.unit, []).extend(map(_unpack, item.images))
    return [(unit, _choose_best(winners, params.top)) for unit, winners in found.items()]


def _show_patch(winner: _Winner, album: Album) -> Cell:
    picture = album(winner.index)
    return Cell(picture if winner.patch is None else _cut(picture, winner.patch), f"{winner.value:.4g}")


def _show_image(winner: _Winner, album: Album) -> Cell:
    # That of a place that sees everything would only be a border.
    picture = album(winner.index)
    sees_all = winner.patch == (0, 0, *picture.shape[:2])
    return Cell(picture, winner.name, None if sees_all else winner.patch)


def _cut(picture: Pixels, box: Box) -> Pixels:
    """The box of a picture, gray beyond its borders."""
    top, left, bottom, right = box
    patch = np.full((bottom - top, right - left, picture.shape[2]), _GRAY, np.uint8)
    height, width = picture.shape[:2]
    inside = picture[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    down, across = max(-top, 0), max(-left, 0)
    patch[down : down + inside.shape[0], across : across + inside.shape[1]] = inside
    return patch


def _rank(unit: int, winners: Sequence[_Winner]) -> TopImagesOfUnit:
    return TopImagesOfUnit(unit=unit, images=list(map(_pack, winners)))


def _pack(winner: _Winner) -> TopImage:
    return TopImage(
        index=winner.index,
        name=winner.name,
        value=winner.value,
        position=None if winner.position is None else list(winner.position),
        patch=None if winner.patch is None else list(winner.patch),
    )


def _unpack(item: TopImage) -> _Winner:
    position, patch = item.position, item.patch
    return _Winner(
        value=item.value,
        index=item.index,
        name=item.name,
        position=None if position is None else (position[0], position[1]),
        patch=None if patch is None else (patch[0], patch[1], patch[2], patch[3]),
    )


def _check(probe: NetworkProbe, params: TopImagesParams) -> None:
    UNITS.find(probe, params.layer, params.units)


TOP_IMAGES = DatasetMethod(
    name="top-images",
    title="Pictures that excite a unit most",
    description="For each unit of a layer the pictures of a dataset that excite it most, and the patch where they do.",
    params=TopImagesParams,
    values=(TopImagesValues,),
    chunk=TopImagesChunk,
    compute=top_images,
    reduce=reduce,
    refuse=refuse_without_image,
    check=_check,
    slice=SLICE,
    compared="for each picture the greatest answers of all units of the layer, whichever are drawn",
)
