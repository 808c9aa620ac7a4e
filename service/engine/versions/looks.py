"""What several versions of a model see in the same: one picture, or one chunk of a job.

The last is asked first, as it says which class all others are asked about. Of the arrays that neighbours are compared
by, those of three versions are held at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from schemas.methods import MethodParams
from schemas.rendering import HeatmapRendering
from schemas.results import Result
from service.engine.correlation import Arrays, Likeness, compare
from service.engine.datasets.batches import Slice
from service.engine.datasets.over_images import compute_slice
from service.engine.drawing.rendering import EPSILON
from service.engine.drawing.visuals import Heatmap, Sheets, Visual
from service.engine.images.archive import Member
from service.engine.images.decoding import ImageLimits
from service.engine.method import Context
from service.engine.model import Model
from service.engine.run import Observation, Request, observe, present, refuse
from service.engine.versions.layers import address, name_alike

Report = Callable[[float], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """What all versions came to, in order, and how alike each is to the one before: one list less."""

    results: Sequence[Result]
    likenesses: Sequence[Sequence[Likeness]]


def look_at_once(models: Sequence[Model], request: Request, limits: ImageLimits, report: Report) -> Seen:
    """A quick method on one picture, or none: drawn when all have been seen, on one scale."""
    asked = request

    def look(number: int) -> tuple[Observation, Arrays]:
        nonlocal asked
        refuse(models[number], request)
        observation = observe(models[number], address(asked, models[-1], models[number]), limits)
        if number == len(models) - 1:
            asked = replace(request, params=_ask_for_class(request.params, observation.visual))
        arrays = _find_arrays(request, observation.visual)
        return replace(observation, visual=_without_arrays(observation.visual)), arrays

    observations, likenesses = _go_through(models, look, report)
    visuals = [observation.visual for observation in observations]
    drawn = replace(asked, params=_share_scale(asked.params, visuals))
    results = [
        present(model, address(drawn, models[-1], model), replace(observation, visual=visual))
        for model, observation, visual in zip(models, observations, _share_bounds(visuals), strict=True)
    ]
    return Seen(results, likenesses)


def look_in_turn(
    models: Sequence[Model], request: Request, items: Sequence[int], limits: ImageLimits, report: Report
) -> Seen:
    """One chunk of a job: some pictures of a dataset, or items of the method's axis. Each version is drawn alone."""
    classes: dict[int, int] = {}
    count = len(models)

    def look(number: int) -> tuple[Result, Arrays]:
        model, own = models[number], address(request, models[-1], models[number])
        done = (number + 1) % count

        def report_share(fraction: float) -> None:
            report((done + fraction) / count)

        if request.images is None:
            refuse(model, own)
            observation = observe(model, own, limits, Context(items, model.preprocessing, report_share))
            return present(model, own, observation), _find_arrays(own, observation.visual)
        result, arrays = _look_at_slice(Slice(model, own, items, limits, report_share, classes=classes))
        if getattr(request.params, "class_index", 0) is None:
            classes.update(_find_classes(result))
        return result, arrays

    return Seen(*_go_through(models, look, report))


def _go_through(
    models: Sequence[Model], look: Callable[[int], tuple[T, Arrays]], report: Report
) -> tuple[list[T], list[list[Likeness]]]:
    """Ask every version by its number, the last first."""

    def compare_with(before: Arrays, arrays: Arrays, number: int) -> list[Likeness]:
        one, other = models[number - 1], models[number]
        named = name_alike(before, one, models[-1]), name_alike(arrays, other, models[-1])
        return compare(*named, (one.version, other.version))

    last, last_arrays = look(len(models) - 1)
    found: list[T] = []
    likenesses: list[list[Likeness]] = []
    before: Arrays = {}
    for number in range(len(models) - 1):
        report((number + 1) / len(models))
        one, arrays = look(number)
        if number:
            likenesses.append(compare_with(before, arrays, number))
        found.append(one)
        before = arrays
    likenesses.append(compare_with(before, last_arrays, len(models) - 1))
    return [*found, last], likenesses


def _look_at_slice(work: Slice) -> tuple[Result, Arrays]:
    kept: dict[int, Arrays] = {}

    def keep(member: Member | None, visual: Visual) -> None:
        arrays = _find_arrays(work.request, visual)
        kept[-1 if member is None else member.index] = arrays if member is None else _name_after(member, arrays)

    result = compute_slice(replace(work, keep=keep))
    return result, {name: array for index in sorted(kept) for name, array in kept[index].items()}


def _name_after(member: Member, arrays: Arrays) -> Arrays:
    """By the picture alone where that says which array it is."""
    is_clear = len(arrays) == 1
    return {member.name if is_clear else f"{member.name}, {name}": array for name, array in arrays.items()}


def _find_arrays(request: Request, visual: Visual) -> Arrays:
    compared = request.method.compared
    return {} if compared is None or compared.of_visual is None else compared.of_visual(visual)


def _find_classes(result: Result) -> Mapping[int, int]:
    """Which class was explained, by the picture's index."""
    targets = ((item["index"], item["target"]) for item in result.values["items"])
    return {index: target["index"] for index, target in targets if target is not None}


def _ask_for_class(params: MethodParams, visual: Visual) -> MethodParams:
    """The same class of every version, or maps would be compared that show different things."""
    if isinstance(visual, Heatmap) and getattr(params, "class_index", 0) is None:
        return params.model_copy(update={"class_index": visual.target.index})
    return params


def _without_arrays(visual: Visual) -> Visual:
    """Without what is not drawn: it may be large, and all versions are kept until they are drawn."""
    return replace(visual, whole={}) if isinstance(visual, Sheets) else visual


def _share_scale(params: MethodParams, visuals: Sequence[Visual]) -> MethodParams:
    maps = [visual.values for visual in visuals if isinstance(visual, Heatmap)]
    if not maps or not isinstance(params, HeatmapRendering) or params.scale == "fixed":
        return params
    greatest = max(float(values.max()) for values in maps)
    return params.model_copy(update={"scale": "fixed", "scale_max": greatest}) if greatest > EPSILON else params


def _share_bounds(visuals: Sequence[Visual]) -> Iterator[Visual]:
    """Tiles that are drawn between bounds get those of all versions; standardised ones need none."""
    for visual in visuals:
        if not isinstance(visual, Sheets):
            yield visual
            continue
        tiles = []
        for place, own in enumerate(visual.tiles):
            others = [other.tiles[place] for other in visuals if isinstance(other, Sheets) and place < len(other.tiles)]
            low, high = min(other.low for other in others), max(other.high for other in others)
            tiles.append(replace(own, low=low, high=high))
        yield replace(visual, tiles=tuple(tiles))
