"""Heat maps of a dataset as a whole: by class, and by right and wrong answers. Knows NumPy, no colours.

Each group has numbers and the mean of its maps, each divided by its own maximum; maps without evidence count as zeros.
All mean maps are drawn on one scale, from 0 to the greatest value that is in any of them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from schemas.rendering import HeatmapRendering
from schemas.values.datasets import Accuracy, ClassName
from schemas.values.heatmaps import (
    HeatmapClass,
    HeatmapGroup,
    HeatmapItem,
    HeatmapsOverDataset,
    HeatmapSummary,
    HeatmapValues,
    MeanMaps,
    MeanObjectHeat,
    ObjectHeat,
)
from service.engine.annotations.localisation import localise
from service.engine.arrays import Array
from service.engine.datasets.accuracy import list_unmatched, measure_accuracy
from service.engine.datasets.mean_maps import MeanMap, divide_by_maximum, resample, shrink
from service.engine.drawing.map_over_picture import lay_over_picture
from service.engine.drawing.visuals import Heatmap, ScalarMap, Visual
from service.engine.kinds.context import Reduction, Summary
from service.engine.kinds.packing import Chunk, PackedFloats
from service.engine.kinds.picture_items import Item, Items, NotedPicture, OverImages, flatten

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]")
_MAX_LABEL: Final = 80


class HeatmapNote(Chunk):
    """The map of one picture (h, w), divided by its maximum and then small; and how much of it lies in the object."""

    small_map: PackedFloats
    object: ObjectHeat | None
    crowds: int


@dataclass
class Group:
    """Some pictures of the dataset. `name` is that of the picture of their mean map."""

    name: str
    mean: MeanMap
    items: list[HeatmapItem] = field(default_factory=list)

    def add(self, item: HeatmapItem, scaled: Array) -> None:
        self.items.append(item)
        self.mean.add(scaled)


@dataclass(frozen=True)
class Groups:
    """All groups of a dataset; those of classes have pictures, the others may have none."""

    right: Group
    wrong: Group
    classes: tuple[Group, ...]


def note_map(heatmap: Visual, picture: NotedPicture) -> HeatmapNote:
    """What is kept of one picture until all are reduced: the map as it lies over the whole picture."""
    assert isinstance(heatmap, Heatmap), "only heat maps have a mean"
    over = lay_over_picture(heatmap.values, picture.photo.framing)
    annotations = picture.annotations
    return HeatmapNote(
        small_map=shrink(divide_by_maximum(over)),
        object=_localise(heatmap, picture),
        crowds=0 if annotations is None else annotations.count_crowds(picture.member),
    )


def reduce_heatmaps(
    found: Sequence[Item[HeatmapValues, HeatmapNote]], reduction: Reduction, _: HeatmapRendering
) -> Summary:
    """Numbers and mean maps of all pictures together, by class, and by right and wrong."""
    notes = [item.note for item in found if item.note is not None]
    items = [_list(item, note) for item, note in zip(found, notes, strict=True)]
    groups = _group(items, [note.small_map for note in notes])
    drawn = [group for group in (groups.right, groups.wrong, *groups.classes) if group.items]
    _rename(drawn, {item.picture for item in items if item.picture is not None})
    scale_max = max(float(group.mean.values.max()) for group in drawn)
    values = HeatmapsOverDataset(
        **dict(_measure(items)),
        right=_describe(groups.right),
        wrong=_describe(groups.wrong),
        classes=[HeatmapClass(**dict(_class(group.items[0])), **dict(_describe(group))) for group in groups.classes],
        unmatched_labels=list_unmatched(items),
        crowds_left_out=sum(note.crowds for note in notes) or None,
        mean_maps=MeanMaps(shape=list(notes[0].small_map.shape), scale_max=scale_max),
        items=items,
    )
    return Summary(_draw(drawn, reduction.layer, scale_max), values)


HEATMAPS_OVER_IMAGES: Final = OverImages[Any](
    values=HeatmapsOverDataset,
    chunk=Items[HeatmapValues, HeatmapNote],
    reduce=reduce_heatmaps,
    note=note_map,
    annotated=True,
    own_scale=True,
)


def _localise(heatmap: Heatmap, picture: NotedPicture) -> ObjectHeat | None:
    """How much of the map lies in the object of its class, or else of the picture's; None where none is marked."""
    if picture.annotations is None:
        return None
    classes = (picture.facts.target, picture.facts.ground_truth)
    names = [each.label for each in classes if each is not None]
    height, width = picture.photo.picture.shape[:2]
    marked = picture.annotations.find(picture.member, (height, width), names, picture.limits)
    if marked is None:
        return None
    return localise(heatmap.values, marked.mask, marked.file, picture.photo.framing)


def _list(item: Item[HeatmapValues, HeatmapNote], note: HeatmapNote) -> HeatmapItem:
    told = {"object": note.object, "crowds_left_out": note.crowds or None}
    return HeatmapItem.model_validate(flatten(item) | told)


def _group(items: Sequence[HeatmapItem], maps: Sequence[Array]) -> Groups:
    shape = (maps[0].shape[0], maps[0].shape[1])
    right, wrong = Group("mean-right", MeanMap(shape)), Group("mean-wrong", MeanMap(shape))
    classes: dict[int, Group] = {}
    for item, values in zip(items, maps, strict=True):
        scaled = resample(values, shape)
        about = _class(item)
        group = classes.setdefault(about.index, Group(f"mean--{_plain(about.label)}", MeanMap(shape)))
        group.add(item, scaled)
        if item.right is not None:
            (right if item.right else wrong).add(item, scaled)
    return Groups(right, wrong, tuple(classes[index] for index in sorted(classes)))


def _class(item: HeatmapItem) -> ClassName:
    """What the picture shows, where that is known, or else what was explained."""
    known = item.ground_truth or item.target
    assert known is not None, "every heat map explains a class"
    return ClassName(index=known.index, label=known.label)


def _measure(items: Sequence[HeatmapItem]) -> HeatmapSummary:
    """The accuracy, how many maps are empty, and how much of the heat is in the objects."""
    accuracy: Accuracy = measure_accuracy(items)
    return HeatmapSummary(
        **dict(accuracy),
        empty=sum(item.empty for item in items),
        object=_measure_objects([item.object for item in items if item.object is not None]),
    )


def _measure_objects(found: Sequence[ObjectHeat]) -> MeanObjectHeat | None:
    if not found:
        return None
    return MeanObjectHeat(
        images=len(found),
        energy=float(np.mean([each.energy for each in found])),
        pointing=float(np.mean([each.pointing for each in found])),
        area=float(np.mean([each.area for each in found])),
    )


def _describe(group: Group) -> HeatmapGroup:
    picture = group.name if group.items else None
    return HeatmapGroup(images=len(group.items), picture=picture, **dict(_measure(group.items)))


def _draw(groups: Sequence[Group], layer: str | None, scale_max: float) -> Iterator[ScalarMap]:
    for group in groups:
        yield ScalarMap(group.name, layer, group.mean.values, scale_max)


def _rename(groups: Sequence[Group], taken: set[str]) -> None:
    """A name of its own for each; pictures of the dataset are called by their files, which may be called anything."""
    used = {name.casefold() for name in taken}
    for group in groups:
        plain, number = group.name, 1
        while group.name.casefold() in used:
            number += 1
            group.name = f"{plain}-{number}"
        used.add(group.name.casefold())


def _plain(label: str) -> str:
    return _NOT_IN_NAMES.sub("-", label)[:_MAX_LABEL]
