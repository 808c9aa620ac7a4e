"""Heat maps of a dataset as a whole: by class, and by right and wrong answers. Knows NumPy, no colours.

Each group has numbers and the mean of its maps, each divided by its own maximum; maps without evidence count as zeros.
All mean maps are drawn on one scale, from 0 to the greatest value that is in any of them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from schemas.rendering import HeatmapRendering
from schemas.results import Answer
from service.engine.arrays import Array, Pixels
from service.engine.datasets.accuracy import list_unmatched, measure_accuracy
from service.engine.datasets.mean_maps import MeanMap, divide_by_maximum, pack_map, resample, unpack_map
from service.engine.drawing.visuals import Heatmap, ScalarMap, Visual
from service.engine.method import OverImages, Whole

_NOTE: Final = "small_map"
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]")
_MAX_LABEL: Final = 80

Item = Mapping[str, Any]


@dataclass
class Group:
    """Some pictures of the dataset. `name` is that of the picture of their mean map."""

    name: str
    mean: MeanMap
    items: list[Item] = field(default_factory=list)

    def add(self, item: Item, scaled: Array) -> None:
        self.items.append(item)
        self.mean.add(scaled)


@dataclass(frozen=True)
class Groups:
    """All groups of a dataset; those of classes have pictures, the others may have none."""

    right: Group
    wrong: Group
    classes: tuple[Group, ...]


def note_map(heatmap: Visual, _: HeatmapRendering) -> dict[str, Any]:
    """The map of one picture, divided by its maximum and then small, until all are combined."""
    assert isinstance(heatmap, Heatmap), "only heat maps have a mean"
    return {_NOTE: pack_map(divide_by_maximum(heatmap.values))}


def combine_heatmaps(parts: Sequence[Answer], _: Iterable[tuple[str, Pixels]], __: HeatmapRendering) -> Whole:
    """Numbers and mean maps of all pictures together, by class, and by right and wrong."""
    noted = [item for part in parts for item in part.values["items"]]
    maps = [unpack_map(item[_NOTE]) for item in noted]
    items = [{name: value for name, value in item.items() if name != _NOTE} for item in noted]
    groups = _group(items, maps)
    drawn = [group for group in (groups.right, groups.wrong, *groups.classes) if group.items]
    _rename(drawn, {item["picture"] for item in items})
    scale_max = max(float(group.mean.values.max()) for group in drawn)
    numbers = _measure(items) | {
        "right": _describe(groups.right),
        "wrong": _describe(groups.wrong),
        "classes": [_class(group.items[0]) | _describe(group) for group in groups.classes],
        "unmatched_labels": list_unmatched(items),
        **_count_crowds(items),
        "mean_maps": {"shape": list(maps[0].shape), "scale_max": scale_max},
        "items": items,
    }
    return Whole(_draw(drawn, parts[0].layer, scale_max), numbers)


HEATMAPS_OVER_IMAGES: Final = OverImages[Any](combine=combine_heatmaps, note=note_map)


def _group(items: Sequence[Item], maps: Sequence[Array]) -> Groups:
    shape = (maps[0].shape[0], maps[0].shape[1])
    right, wrong = Group("mean-right", MeanMap(shape)), Group("mean-wrong", MeanMap(shape))
    classes: dict[int, Group] = {}
    for item, values in zip(items, maps, strict=True):
        scaled = resample(values, shape)
        about = _class(item)
        group = classes.setdefault(about["index"], Group(f"mean--{_plain(about['label'])}", MeanMap(shape)))
        group.add(item, scaled)
        if item["right"] is not None:
            (right if item["right"] else wrong).add(item, scaled)
    return Groups(right, wrong, tuple(classes[index] for index in sorted(classes)))


def _class(item: Item) -> dict[str, Any]:
    """What the picture shows, where that is known, or else what was explained."""
    known = item["ground_truth"] or item["target"]
    return {"index": known["index"], "label": known["label"]}


def _measure(items: Sequence[Item]) -> dict[str, Any]:
    """The accuracy, how many maps are empty, and how much of the heat is in the objects."""
    return measure_accuracy(items) | {
        "empty": sum(item["empty"] for item in items),
        "object": _measure_objects([item["object"] for item in items if item["object"] is not None]),
    }


def _measure_objects(found: Sequence[Item]) -> dict[str, Any] | None:
    if not found:
        return None
    means = {name: float(np.mean([item[name] for item in found])) for name in ("energy", "pointing", "area")}
    return {"images": len(found)} | means


def _count_crowds(items: Sequence[Item]) -> dict[str, int]:
    count = sum(item.get("crowds_left_out", 0) for item in items)
    return {"crowds_left_out": count} if count else {}


def _describe(group: Group) -> dict[str, Any]:
    picture = group.name if group.items else None
    return {"images": len(group.items), "picture": picture} | _measure(group.items)


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
