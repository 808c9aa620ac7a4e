"""What several versions of a model see in the same: one picture, or one chunk of a job.

The last is asked first, as it says which class all others are asked about. Of the arrays that neighbours are compared
by, those of three versions are held at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from schemas.methods import MethodParams
from schemas.results import Result, ResultImage
from schemas.values.versions import Likeness
from service.engine.correlation import Arrays, compare
from service.engine.datasets.batches import Slice
from service.engine.datasets.over_images import compute_slice
from service.engine.drawing.renderers import renderer_of
from service.engine.drawing.visuals import Visual
from service.engine.images.archive import Member
from service.engine.images.decoding import ImageLimits
from service.engine.kinds.context import Context
from service.engine.model import Model
from service.engine.running.request import Request, refuse
from service.engine.running.run import Observation, observe, present
from service.engine.running.viewing import KeptPictures
from service.engine.versions.layers import address, name_alike, prefix_of

Report = Callable[[float], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """What all versions came to, in order, and how alike each is to the one before: one list less.

    Their pictures are named after the versions.
    """

    results: Sequence[Result]
    likenesses: Sequence[Sequence[Likeness]]


def look_at_once(models: Sequence[Model], request: Request, limits: ImageLimits, report: Report) -> Seen:
    """A quick method on one picture, or none: drawn when all have been seen, on one scale."""
    asked = request = replace(request, kept=KeptPictures())

    def look(number: int) -> tuple[Observation, Arrays]:
        nonlocal asked
        refuse(models[number], request)
        observation = observe(models[number], address(asked, models[-1], models[number]), limits)
        if number == len(models) - 1:
            asked = replace(request, params=_ask_for_class(request.params, observation.visual))
        arrays = _find_arrays(request, observation.visual)
        renderer = renderer_of(observation.visual)
        # What is not drawn may be large, and all versions are kept until they are.
        return replace(observation, visual=renderer.drop_arrays(observation.visual)), arrays

    observations, likenesses = _go_through(models, look, report)
    visuals = [observation.visual for observation in observations]
    shared = renderer_of(visuals[0]).share(visuals)
    results = [
        present(model, _own(asked, models[-1], model), replace(observation, visual=visual))
        for model, observation, visual in zip(models, observations, shared, strict=True)
    ]
    return Seen(results, likenesses)


def look_in_turn(
    models: Sequence[Model], request: Request, items: Sequence[int], limits: ImageLimits, report: Report
) -> Seen:
    """One chunk of a job: some pictures of a dataset, or items of the method's axis. Each version is drawn alone."""
    request = replace(request, kept=KeptPictures())
    classes: dict[int, int] = {}
    count = len(models)

    def look(number: int) -> tuple[Result, Arrays]:
        model, own = models[number], _own(request, models[-1], models[number])
        done = (number + 1) % count

        def report_share(fraction: float) -> None:
            report((done + fraction) / count)

        if request.images is None:
            refuse(model, own)
            observation = observe(model, own, limits, Context(model.preprocessing, report_share, items))
            return present(model, own, observation), _find_arrays(own, observation.visual)
        result, arrays, explained = _look_at_slice(Slice(model, own, items, limits, report_share, classes=classes))
        if getattr(request.params, "class_index", 0) is None:
            classes.update(explained)
        return result, arrays

    return Seen(*_go_through(models, look, report))


def _own(request: Request, last: Model, model: Model) -> Request:
    """The request to one version, whose pictures are named after it before they are written."""

    def write(image: ResultImage) -> ResultImage:
        return request.write(image.model_copy(update={"name": f"{prefix_of(model)}{image.name}"}))

    return replace(address(request, last, model), write=write)


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


def _look_at_slice(work: Slice) -> tuple[Result, Arrays, dict[int, int]]:
    """What was found, the arrays to compare, and the class that was explained in each picture, by its index."""
    kept: dict[int, Arrays] = {}
    explained: dict[int, int] = {}

    def keep(member: Member | None, visual: Visual) -> None:
        arrays = _find_arrays(work.request, visual)
        kept[-1 if member is None else member.index] = arrays if member is None else _name_after(member, arrays)
        target = renderer_of(visual).facts(visual).target
        if member is not None and target is not None:
            explained[member.index] = target.index

    result = compute_slice(replace(work, keep=keep))
    return result, {name: array for index in sorted(kept) for name, array in kept[index].items()}, explained


def _name_after(member: Member, arrays: Arrays) -> Arrays:
    """By the picture alone where that says which array it is."""
    is_clear = len(arrays) == 1
    return {member.name if is_clear else f"{member.name}, {name}": array for name, array in arrays.items()}


def _find_arrays(request: Request, visual: Visual) -> Arrays:
    return {} if request.method.compared is None else renderer_of(visual).compared(visual)


def _ask_for_class(params: MethodParams, visual: Visual) -> MethodParams:
    """The same class of every version, or maps would be compared that show different things."""
    target = renderer_of(visual).facts(visual).target
    if target is not None and getattr(params, "class_index", 0) is None:
        return params.model_copy(update={"class_index": target.index})
    return params
