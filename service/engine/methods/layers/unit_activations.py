"""Unit activations: how strongly every unit of a layer answers to every picture of a dataset.

As in the tutorials, a grid of pictures by units: rows are pictures in the order of their names, columns are units, and
one colour scale is for all of it. Of a unit with space the greatest answer and the mean over all places are drawn, and
for some pictures, of each folder as many, the maps themselves, each unit on a scale that is the same for all of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, zip_longest
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field

from schemas.methods import MethodParams
from schemas.references import LayerReference, Selection
from schemas.rendering import Colormap
from schemas.results import Answer
from service.engine.arrays import Array
from service.engine.datasets.mean_maps import resample
from service.engine.datasets.pipelining import ask_each
from service.engine.drawing.visuals import Cell, CellRow, CellSheet, Matrix, Numbers
from service.engine.images.archive import Member
from service.engine.method import Album, Batch, Compared, Context, Method, OverImages, Whole, refuse_without_image
from service.engine.methods.units import UnitChoice
from service.engine.packing import pack, unpack
from service.engine.ports.probe import Probe
from service.errors import NotFiniteError

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


def unit_activations(
    probe: Probe, batches: Iterator[Batch], params: UnitActivationsParams, context: Context
) -> Numbers:
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
    if not members:
        return Numbers(layer, {"items": []})
    together = np.concatenate(answers, axis=1)
    if not np.isfinite(together).all():
        raise NotFiniteError("the network answers NaN or infinity: check its weights and its preprocessing")
    items = [{"index": member.index, "name": member.name, "label": member.label} for member in members]
    numbers = {"units": units, "shape": list(shape), "items": items, "answers": pack(together)}
    return Numbers(layer, numbers | ({"maps": _pack_maps(maps)} if maps else {}), by_picture)


def combine(parts: Sequence[Answer], _: Iterable[Any], params: UnitActivationsParams) -> Whole:
    """The grids, and what each unit answers over the whole dataset."""
    parts = [part for part in parts if part.values["items"]]
    first = parts[0].values
    items = [item for part in parts for item in part.values["items"]]
    means, greatest = np.concatenate([unpack(part.values["answers"]) for part in parts], axis=1)
    names, units = tuple(item["name"] for item in items), tuple(map(str, first["units"]))
    has_space = bool(first["shape"])
    grids = {"greatest": greatest, "mean": means} if has_space else {"answers": greatest}
    drawn = {name: _scale(values) if params.scale == "per_unit" else values for name, values in grids.items()}
    folders = tuple(item["label"] for item in items)
    pictures = [Matrix(name, parts[0].layer, values, names, units, folders) for name, values in drawn.items()]
    if params.values == "raw":
        for item, *answers in zip(items[: MAX_RAW_VALUES // (len(units) * len(grids))], *grids.values(), strict=False):
            item |= {name: row.tolist() for name, row in zip(grids, answers, strict=True)}
    by_unit = [_describe(unit, names, means[:, at], greatest[:, at]) for at, unit in enumerate(first["units"])]
    numbers = {"layer": parts[0].layer, "shape": first["shape"], "units": by_unit, "items": items}
    return Whole(pictures, numbers | {"maps": _list_shown(parts, items)})


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


def _list_shown(parts: Sequence[Answer], items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Which pictures the sheet of maps has, and how many of the dataset's folders."""
    shown = {packed["index"] for part in parts for packed in part.values.get("maps", [])}
    found = [item for item in items if item["index"] in shown]
    return {
        "pictures": [item["name"] for item in found],
        "folders": len({item["label"] for item in found}),
        "of_folders": len({item["label"] for item in items}),
    }


def _describe(unit: int, names: Sequence[str], means: Array, greatest: Array) -> dict[str, Any]:
    return {
        "unit": unit,
        "mean": float(means.mean(dtype=np.float64)),
        "greatest": float(greatest.max()),
        "greatest_in": names[int(greatest.argmax())],
        "silent": not (greatest.any() or means.any()),
    }


def illustrate(parts: Sequence[Answer], _: UnitActivationsParams, album: Album) -> Iterator[CellSheet]:
    """Some pictures of each folder, each beside the maps of some units."""
    shown = [packed for part in parts for packed in part.values.get("maps", [])]
    if not shown:
        return
    first = next(part for part in parts if part.values.get("maps"))
    names = {item["index"]: item["name"] for part in parts for item in part.values["items"]}
    units = first.values["units"][:MAP_UNITS]
    low = np.min([packed["low"] for packed in shown], axis=0)[:, None, None]
    high = np.max([packed["high"] for packed in shown], axis=0)[:, None, None]
    span = np.where(high > low, high - low, 1)

    def draw(packed: dict[str, Any]) -> CellRow:
        maps = np.asarray((_unpack_maps(packed) - low) / span, np.float32)
        cells = [Cell(values, f"unit {unit}") for values, unit in zip(maps, units, strict=True)]
        return CellRow(names[packed["index"]], (Cell(album(packed["index"])), *cells))

    yield CellSheet("maps", first.layer, 1 + len(units), map(draw, shown))


def _draw_maps(probe: Probe, image: Array, layer: str, units: list[int]) -> Array:
    """(units, h, w), no side longer than MAP_SIDE."""
    values = probe.activations(image, [layer])[0].values[..., units]
    factor = min(1.0, MAP_SIDE / max(values.shape[:2]))
    height, width = (max(1, round(side * factor)) for side in values.shape[:2])
    return np.stack([resample(values[..., unit], (height, width)) for unit in range(len(units))])


def _pack_maps(maps: dict[int, Array]) -> list[dict[str, Any]]:
    """In 0…255, each map from its own least to its greatest, which are kept: other slices have other ones."""
    return [_pack_one(index, values) for index, values in sorted(maps.items())]


def _pack_one(index: int, values: Array) -> dict[str, Any]:
    low, high = values.min(axis=(1, 2)), values.max(axis=(1, 2))
    span = np.where(high > low, high - low, 1)[:, None, None]
    shades = np.rint((values - low[:, None, None]) / span * 255).astype(np.uint8)
    return {"index": index, "low": low.tolist(), "high": high.tolist(), "maps": pack(shades)}


def _unpack_maps(packed: dict[str, Any]) -> Array:
    low, high = (np.asarray(packed[end], np.float32)[:, None, None] for end in ("low", "high"))
    return np.asarray(low + unpack(packed["maps"]) * ((high - low) / np.float32(255)), np.float32)


def _scale(values: Array) -> Array:
    """Each column in 0…1."""
    low, high = values.min(axis=0), values.max(axis=0)
    return np.asarray((values - low) / np.where(high > low, high - low, 1), np.float32)


def _check(probe: Probe, params: UnitActivationsParams) -> None:
    UNITS.find(probe, params.layer, params.units)


UNIT_ACTIVATIONS = Method(
    name="unit-activations",
    title="Activations of all units",
    description="How strongly every unit of a layer answers to each picture of a dataset, as a grid.",
    kind="job",
    consumes="images",
    params=UnitActivationsParams,
    compute=unit_activations,
    refuse=refuse_without_image,
    check=_check,
    over_images=OverImages(combine, slice=SLICE, illustrate=illustrate),
    compared=Compared(
        "for each picture the greatest answers of all units of the layer, whichever are drawn",
        lambda numbers: numbers.by_picture,
    ),
    own_scale=True,
)
