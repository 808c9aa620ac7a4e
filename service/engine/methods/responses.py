"""Responses: how strongly every unit of a layer answers to every picture of a set.

As in the tutorials, a grid of pictures by units: rows are pictures in the order of their names, columns are units, and
one colour scale is for all of it. Of a unit with space the greatest answer and the mean over all places are drawn, and
for the first pictures the maps themselves, each unit on a scale of its own that is the same for all pictures.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field

from schemas.methods import MethodParams
from schemas.references import LayerReference, Selection
from schemas.rendering import Colormap
from schemas.results import Answer
from service.engine.arrays import Array
from service.engine.method import Album, Batch, Compared, Context, Method, OverImages, Whole, refuse_without_image
from service.engine.packing import pack, unpack
from service.engine.probe import Probe
from service.engine.sets.image_set import Member
from service.engine.sets.mean_maps import resample
from service.engine.sets.overlap import ask_each
from service.engine.units import UnitChoice
from service.engine.visuals import Cell, CellRow, CellSheet, Matrix, Numbers
from service.errors import NotFiniteError

SLICE: Final = 64
# What is kept of each picture until all are combined grows with them.
UNITS: Final = UnitChoice(default=256, most=512)
MAX_RAW_VALUES: Final = 1_000_000
# Of the sheet of maps, all of which are of the first slice.
MAX_MAP_IMAGES: Final = 32
MAP_UNITS, MAP_SIDE = 10, 64


class ResponsesParams(MethodParams):
    """Parameters of `responses`."""

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
        10, ge=0, le=MAX_MAP_IMAGES, description="Of so many pictures, the first ones, the maps of ten units are drawn."
    )
    colormap: Colormap = Field("viridis", description="Colour map of the answers.")
    values: Literal["none", "raw"] = Field(
        "none", description="`raw` adds each picture's numbers, unit by unit, for as many pictures as make a million."
    )


def responses(probe: Probe, batches: Iterator[Batch], params: ResponsesParams, _: Context) -> Numbers:
    """The answers to a slice of the set, and the maps of the first pictures."""
    layer, units = UNITS.find(probe, params.layer, params.units)
    members: list[Member] = []
    answers: list[Array] = []
    maps: dict[int, Array] = {}
    shape: tuple[int, ...] = ()
    by_picture: dict[str, Array] = {}
    for batch, found in ask_each(lambda batch: probe.responses(batch.inputs, layer), batches):
        units = units if units is not None else UNITS.choose(params.units, found.mean.shape[1])
        shape = found.shape
        members += batch.members
        by_picture |= {member.name: row for member, row in zip(batch.members, found.greatest, strict=True)}
        answers.append(np.stack([found.mean, found.greatest])[:, :, units])
        for member, image in zip(batch.members, batch.inputs, strict=True):
            if member.index < params.maps and len(shape) == 2:
                maps[member.index] = _draw_maps(probe, image, layer, units[:MAP_UNITS])
    if not members:
        return Numbers(layer, {"items": []})
    together = np.concatenate(answers, axis=1)
    if not np.isfinite(together).all():
        raise NotFiniteError("the network answers NaN or infinity: check its weights and its preprocessing")
    items = [{"index": member.index, "name": member.name, "label": member.label} for member in members]
    numbers = {"units": units, "shape": list(shape), "items": items, "answers": pack(together)}
    return Numbers(layer, numbers | ({"maps": _pack_maps(maps)} if maps else {}), by_picture)


def combine(parts: Sequence[Answer], _: Iterable[Any], params: ResponsesParams) -> Whole:
    """The grids, and what each unit answers over the whole set."""
    parts = [part for part in parts if part.values["items"]]
    first = parts[0].values
    items = [item for part in parts for item in part.values["items"]]
    means, greatest = np.concatenate([unpack(part.values["answers"]) for part in parts], axis=1)
    names, units = tuple(item["name"] for item in items), tuple(map(str, first["units"]))
    has_space = bool(first["shape"])
    grids = {"greatest": greatest, "mean": means} if has_space else {"answers": greatest}
    drawn = {name: _scale(values) if params.scale == "per_unit" else values for name, values in grids.items()}
    pictures = [Matrix(name, parts[0].layer, values, names, units) for name, values in drawn.items()]
    if params.values == "raw":
        for item, *answers in zip(items[: MAX_RAW_VALUES // (len(units) * len(grids))], *grids.values(), strict=False):
            item |= {name: row.tolist() for name, row in zip(grids, answers, strict=True)}
    by_unit = [_describe(unit, names, means[:, at], greatest[:, at]) for at, unit in enumerate(first["units"])]
    return Whole(pictures, {"layer": parts[0].layer, "shape": first["shape"], "units": by_unit, "items": items})


def _describe(unit: int, names: Sequence[str], means: Array, greatest: Array) -> dict[str, Any]:
    return {
        "unit": unit,
        "mean": float(means.mean(dtype=np.float64)),
        "greatest": float(greatest.max()),
        "greatest_in": names[int(greatest.argmax())],
        "silent": not (greatest.any() or means.any()),
    }


def illustrate(parts: Sequence[Answer], _: ResponsesParams, album: Album) -> Iterator[CellSheet]:
    """The first pictures, each beside the maps of some units."""
    for part in parts:
        if not part.values.get("maps"):
            continue
        items = {item["index"]: item["name"] for item in part.values["items"]}
        units = part.values["units"][:MAP_UNITS]

        def draw(packed: dict[str, Any], names: dict[int, str] = items, units: list[int] = units) -> CellRow:
            maps = unpack(packed["maps"]) / np.float32(255)
            cells = [Cell(values, f"unit {unit}") for values, unit in zip(maps, units, strict=True)]
            return CellRow(names[packed["index"]], (Cell(album(packed["index"])), *cells))

        yield CellSheet("maps", part.layer, 1 + len(units), map(draw, part.values["maps"]))


def _draw_maps(probe: Probe, image: Array, layer: str, units: list[int]) -> Array:
    """(units, h, w), no side longer than MAP_SIDE."""
    values = probe.activations(image, [layer])[0].values[..., units]
    factor = min(1.0, MAP_SIDE / max(values.shape[:2]))
    height, width = (max(1, round(side * factor)) for side in values.shape[:2])
    return np.stack([resample(values[..., unit], (height, width)) for unit in range(len(units))])


def _pack_maps(maps: dict[int, Array]) -> list[dict[str, Any]]:
    """In 0…255, each unit from its least to its greatest in all of the pictures."""
    low = np.min([values.min(axis=(1, 2)) for values in maps.values()], axis=0)[:, None, None]
    high = np.max([values.max(axis=(1, 2)) for values in maps.values()], axis=0)[:, None, None]
    span = np.where(high > low, high - low, 1)
    return [
        {"index": index, "maps": pack(np.rint((values - low) / span * 255).astype(np.uint8))}
        for index, values in maps.items()
    ]


def _scale(values: Array) -> Array:
    """Each column in 0…1."""
    low, high = values.min(axis=0), values.max(axis=0)
    return np.asarray((values - low) / np.where(high > low, high - low, 1), np.float32)


def _check(probe: Probe, params: ResponsesParams) -> None:
    UNITS.find(probe, params.layer, params.units)


RESPONSES = Method(
    name="responses",
    title="Responses of all units",
    description="How strongly every unit of a layer answers to every picture of a set, as a grid of pictures by units.",
    kind="job",
    consumes="images",
    params=ResponsesParams,
    compute=responses,
    refuse=refuse_without_image,
    check=_check,
    over_images=OverImages(combine, slice=SLICE, illustrate=illustrate),
    compared=Compared(
        "for each picture the greatest answers of all units of the layer, whichever are drawn",
        lambda numbers: numbers.by_picture,
    ),
)
