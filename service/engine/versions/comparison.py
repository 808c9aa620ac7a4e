"""One request over several versions of a model, such as snapshots of its training, laid side by side and compared.

All are asked about the same class, that of the last, and compared by the array that the method states, never by what
is drawn. A job is cut as it is for one version; each chunk goes through all of them, so that no more than a chunk's
arrays are ever held.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from time import perf_counter
from typing import Any, Final

from schemas.results import Answer, Result, ResultImage
from service.engine.arrays import Pixels
from service.engine.chunks import JobLimits, Plan, add_up, make_whole, plan, present_whole
from service.engine.correlation import Arrays, compare, summarise
from service.engine.datasets.batches import BATCH
from service.engine.datasets.pipelining import PASSES
from service.engine.drawing.charts import draw_side_by_side
from service.engine.drawing.planes import draw_planes
from service.engine.drawing.plots import draw_scatter
from service.engine.drawing.png import decode_png
from service.engine.images.decoding import ImageLimits
from service.engine.method import AnyMethod
from service.engine.model import Model
from service.engine.run import Request, describe_origin, encode
from service.engine.versions.layers import address, name_alike, require_same_layers
from service.engine.versions.looks import Report, look_at_once, look_in_turn
from service.errors import TooFewVersionsError

MAX_VERSIONS: Final = 50
# Pictures of a dataset in a chunk: of each the arrays of three versions are held.
_SLICE: Final = BATCH * PASSES
OWN_SCALE: Final = "each version on a scale of its own: shades cannot be compared between them"

# The pictures whose names start so, without that: read one by one, and each time anew.
PicturesOf = Callable[[str], Iterable[tuple[str, Pixels]]]


def plan_versions(models: Sequence[Model], request: Request, image_limits: ImageLimits, limits: JobLimits) -> Plan:
    """Check the request on every version. Raises a ConvscopeError."""
    if not 2 <= len(models) <= MAX_VERSIONS:
        raise TooFewVersionsError(f"{len(models)} versions were named: 2 to {MAX_VERSIONS} are compared")
    for model in models[1:]:
        require_same_layers(models[0], model)
    works = [plan(model, address(request, models[-1], model), image_limits, limits) for model in models]
    if _is_quick(request):
        return Plan("versions", [list(range(len(models)))], combines=True)
    chunks = works[-1].chunks
    if request.images is not None and request.method.consumes == "image":
        items = iter(chain.from_iterable(chunks))
        chunks = list(iter(lambda: list(islice(items, _SLICE)), []))
    return Plan(works[-1].unit, chunks, combines=True)


def compute_versions(
    models: Sequence[Model],
    request: Request,
    items: Sequence[int],
    limits: ImageLimits,
    report: Report,
) -> Result:
    """One chunk: pictures of all versions, named after them, their numbers, and how alike neighbours are."""
    if _is_quick(request):
        seen = look_at_once(models, request, limits, report)
    else:
        seen = look_in_turn(models, request, items, limits, report)
    report(1.0)
    images = [
        image.model_copy(update={"name": f"{_prefix(model)}{image.name}"})
        for model, result in zip(models, seen.results, strict=True)
        for image in result.images
    ]
    values = {
        "versions": [result.model_dump(exclude={"images"}) for result in seen.results],
        "neighbours": [[likeness.pack() for likeness in likenesses] for likenesses in seen.likenesses],
    }
    timings = add_up([result.timings_seconds for result in seen.results], 0.0)
    return seen.results[-1].model_copy(update={"images": images, "values": values, "timings_seconds": timings})


def combine_versions(
    models: Sequence[Model],
    request: Request,
    parts: Sequence[Answer],
    pictures: PicturesOf,
    image_limits: ImageLimits,
) -> Result:
    """Each version's own whole, the first picture of every one side by side, and how alike neighbours are."""
    started = perf_counter()
    found = [_Version(models, number, request, parts) for number in range(len(models))]
    lists = zip(*(part.values["neighbours"] for part in parts), strict=True)
    likenesses = [list(chain.from_iterable(each)) for each in lists]
    wholes: list[Result] = []
    before: Arrays = {}
    for number, one in enumerate(found):
        whole, arrays = one.combine(pictures, image_limits)
        if number:
            versions = models[number - 1].version, models[number].version
            likenesses[number - 1] += [likeness.pack() for likeness in compare(before, arrays, versions)]
        wholes.append(whole)
        before = arrays
    neighbours = [
        {"from": one.version, "to": other.version} | summarise(items)
        for (one, other), items in zip(pairwise(models), likenesses, strict=True)
    ]
    entries = [_describe(model, whole) for model, whole in zip(models, wholes, strict=True)]
    for entry, pair in zip(entries[1:], neighbours, strict=True):
        entry["correlation"] = pair["correlation"]
    last = parts[-1]
    return Result(
        **{name: getattr(last, name) for name in ("model", "method", "layer", "target", "predictions")},
        version=",".join(model.version for model in models),
        images=[*_draw(request, entries, _firsts(models, wholes, pictures)), *_name(models, wholes)],
        values=_judge(request.method, neighbours) | _list_skipped(entries) | {"versions": entries},
        provenance=describe_origin(models[-1], request).model_copy(update={"plan": last.provenance.plan}),
        timings_seconds=add_up([part.timings_seconds for part in parts], perf_counter() - started),
    )


def run_versions(
    models: Sequence[Model], request: Request, limits: tuple[ImageLimits, JobLimits], report: Report
) -> Result:
    """All of it in this process."""
    work = plan_versions(models, request, *limits)
    total, done = sum(map(len, work.chunks)), 0
    parts = []
    for items in work.chunks:

        def report_share(fraction: float, before: int = done, count: int = len(items)) -> None:
            report((before + count * fraction) / total)

        parts.append(compute_versions(models, request, items, limits[0], report_share))
        done += len(items)
    images = [image for part in parts for image in part.images]

    def read(prefix: str) -> Iterator[tuple[str, Pixels]]:
        for image in images:
            if image.name.startswith(prefix):
                yield image.name.removeprefix(prefix), decode_png(image.data)

    whole = combine_versions(models, request, parts, read, limits[0])
    return whole.model_copy(update={"images": [*whole.images, *images]})


def _is_quick(request: Request) -> bool:
    return request.method.kind == "interactive" and request.images is None


@dataclass(frozen=True)
class _Version:
    """What all chunks say of one version."""

    models: Sequence[Model]
    number: int
    request: Request
    parts: Sequence[Answer]

    def combine(self, pictures: PicturesOf, limits: ImageLimits) -> tuple[Result, Arrays]:
        """Its whole, and the arrays that it is compared by where those are the whole's."""
        started = perf_counter()
        model, last = self.models[self.number], self.models[-1]
        answers = [Answer.model_validate(part.values["versions"][self.number]) for part in self.parts]
        if _is_quick(self.request):
            return Result(**{name: getattr(answers[0], name) for name in Answer.model_fields}, images=[]), {}
        own = address(self.request, last, model)
        whole = make_whole(model, own, answers, pictures(_prefix(model)), limits)
        return present_whole(model, own, answers, whole, started), name_alike(whole.arrays, model, last)


def _describe(model: Model, whole: Result) -> dict[str, Any]:
    return {
        "version": model.version,
        "model_sha256": model.digest,
        "layer": whole.layer,
        "target": None if whole.target is None else whole.target.model_dump(),
        "predictions": [prediction.model_dump() for prediction in whole.predictions],
        "correlation": None,
        "values": whole.values,
    }


def _judge(method: AnyMethod, neighbours: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What was compared, how alike neighbours are, and the least of that; null where one of them has a reason."""
    reasons = [f"versions {one['from']} and {one['to']}: {one['reason']}" for one in neighbours if one["reason"]]
    return {
        "compared": None if method.compared is None else method.compared.array,
        "neighbours": neighbours,
        "min_correlation": None if reasons else min(pair["correlation"] for pair in neighbours),
        "reason": reasons[0] if reasons else None,
    }


def _list_skipped(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Pictures of a dataset that some version could not use, once each."""
    if "skipped" not in entries[-1]["values"]:
        return {}
    found = {item["name"]: item for entry in entries for item in entry["values"]["skipped"]}
    return {"images": entries[-1]["values"]["images"], "skipped": list(found.values())}


def _firsts(models: Sequence[Model], wholes: Sequence[Result], pictures: PicturesOf) -> list[Pixels]:
    """The first picture of each version that has one."""
    found = (
        decode_png(whole.images[0].data)
        if whole.images
        else next((pixels for _, pixels in pictures(_prefix(model))), None)
        for model, whole in zip(models, wholes, strict=True)
    )
    return [pixels for pixels in found if pixels is not None]


def _draw(request: Request, entries: Sequence[dict[str, Any]], firsts: Sequence[Pixels]) -> Iterator[ResultImage]:
    method, titles = request.method, list(map(_label, entries))
    if method.plane is not None:
        yield encode(draw_planes(titles, [method.plane(entry["values"]) for entry in entries]))
    elif len(firsts) == len(entries):
        has_own = method.own_scale and request.images is not None
        yield encode(draw_side_by_side(list(zip(titles, firsts, strict=True)), OWN_SCALE if has_own else ""))
    if method.over_versions is not None:
        yield encode(draw_scatter(method.over_versions([(one["version"], one["values"]) for one in entries]), None))


def _name(models: Sequence[Model], wholes: Sequence[Result]) -> Iterator[ResultImage]:
    """The pictures of the wholes, named after their versions."""
    for model, whole in zip(models, wholes, strict=True):
        for image in whole.images:
            yield image.model_copy(update={"name": f"{_prefix(model)}{image.name}"})


def _prefix(model: Model) -> str:
    return f"v{model.version}--"


def _label(entry: dict[str, Any]) -> str:
    correlation = entry["correlation"]
    return f"version {entry['version']}" + ("" if correlation is None else f"   r = {correlation:.3f}")
