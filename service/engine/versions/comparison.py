"""One request over several versions of a model, such as snapshots of its training, laid side by side and compared.

All are asked about the same class, that of the last, and compared by the array that the method states, never by what
is drawn. A job is cut as it is for one version; each chunk goes through all of them, so that no more than a chunk's
arrays are ever held.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from time import perf_counter
from typing import Any, Final, Union

from pydantic import BaseModel, TypeAdapter

from schemas.jobs import MAX_VERSIONS
from schemas.results import Answer, Result, ResultImage
from schemas.values.base import Values, to_json
from schemas.values.datasets import DatasetValues
from schemas.values.versions import Likeness, Neighbours, VersionsValues, VersionValues
from service.engine.arrays import Pixels
from service.engine.chunks import JobLimits, Plan, add_up, check_annotations, plan_one
from service.engine.correlation import Arrays, compare, summarise
from service.engine.datasets.batches import BATCH
from service.engine.datasets.pipelining import PASSES
from service.engine.drawing.charts import draw_side_by_side
from service.engine.drawing.planes import draw_planes
from service.engine.drawing.plots import draw_scatter
from service.engine.drawing.png import decode_png
from service.engine.images.decoding import ImageLimits
from service.engine.kinds.method import AnyMethod, DatasetMethod, ImageMethod
from service.engine.kinds.packing import Chunk
from service.engine.model import Model
from service.engine.running.origin import describe_origin
from service.engine.running.reduction import Finished, Reduced, reduce_chunks
from service.engine.running.request import Request
from service.engine.running.run import Finding, encode
from service.engine.running.viewing import KeptPictures
from service.engine.versions.layers import address, name_alike, prefix_of, require_same_layers
from service.engine.versions.looks import Report, look_at_once, look_in_turn
from service.errors import TooFewVersionsError

# Pictures of a dataset in a chunk: of each the arrays of three versions are held.
_SLICE: Final = BATCH * PASSES
OWN_SCALE: Final = "each version on a scale of its own: shades cannot be compared between them"

# The pictures whose names start so, without that: read one by one, and each time anew.
PicturesOf = Callable[[str], Iterable[tuple[str, Pixels]]]


class VersionsChunk(Chunk):
    """One chunk of all versions: what each came to, and how alike neighbours are, array by array."""

    versions: list[Answer]
    neighbours: list[list[Likeness]]


@dataclass(frozen=True)
class FinishedVersions:
    """All chunks of a job: what they came to, and their pictures. `report` may raise to stop the work."""

    answers: Sequence[Answer]
    pictures: PicturesOf
    report: Report


def plan_versions(models: Sequence[Model], request: Request, image_limits: ImageLimits, limits: JobLimits) -> Plan:
    """Check the request on every version. Raises a ConvscopeError."""
    if not 2 <= len(models) <= MAX_VERSIONS:
        raise TooFewVersionsError(f"{len(models)} versions were named: 2 to {MAX_VERSIONS} are compared")
    for model in models[1:]:
        require_same_layers(models[0], model)
    check_annotations(request)
    seen = replace(request, kept=KeptPictures())
    works = [plan_one(model, address(seen, models[-1], model), image_limits, limits) for model in models]
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
    images = [image for result in seen.results for image in result.images]
    chunk = VersionsChunk(versions=[_without_pictures(each) for each in seen.results], neighbours=seen.likenesses)
    timings = add_up([result.timings_seconds for result in seen.results], 0.0)
    told = {"images": images, "values": to_json(chunk), "timings_seconds": timings}
    return seen.results[-1].model_copy(update=told)


def combine_versions(
    models: Sequence[Model], request: Request, finished: FinishedVersions, limits: ImageLimits
) -> Result:
    """Each version's own answer, the first picture of every one side by side, and how alike neighbours are."""
    started = perf_counter()
    chunks = [VersionsChunk.model_validate(answer.values) for answer in finished.answers]
    likenesses = [list(chain.from_iterable(each)) for each in zip(*(chunk.neighbours for chunk in chunks), strict=True)]
    found: list[Finding] = []
    before: Arrays = {}
    for number, model in enumerate(models):
        answers = [chunk.versions[number] for chunk in chunks]
        reduced = _reduce(models, number, request, replace(finished, answers=answers), limits)
        if number:
            versions = models[number - 1].version, model.version
            likenesses[number - 1] += compare(before, reduced.arrays, versions)
        found.append(reduced.finding)
        before = reduced.arrays
    neighbours = [
        Neighbours.model_validate({"from": one.version, "to": other.version, **dict(summarise(items))})
        for (one, other), items in zip(pairwise(models), likenesses, strict=True)
    ]
    last = finished.answers[-1]
    correlations = [None, *(pair.correlation for pair in neighbours)]
    entries = [_describe(*each) for each in zip(models, found, correlations, strict=True)]
    values = _judge(request.method, neighbours, found, entries)
    firsts = _firsts(models, found, finished.pictures)
    return Result(
        **{name: getattr(last, name) for name in ("model", "method", "layer", "target", "predictions")},
        version=",".join(model.version for model in models),
        images=[*_draw(request, entries, found, firsts), *_name(models, found)],
        values=to_json(values),
        provenance=describe_origin(models[-1], request).model_copy(update={"plan": last.provenance.plan}),
        timings_seconds=add_up([answer.timings_seconds for answer in finished.answers], perf_counter() - started),
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

    whole = combine_versions(models, request, FinishedVersions(parts, read, lambda _: None), limits[0])
    return whole.model_copy(update={"images": [*whole.images, *images]})


def _is_quick(request: Request) -> bool:
    return request.method.kind == "interactive" and request.images is None


def _without_pictures(result: Result) -> Answer:
    return Answer(**{name: getattr(result, name) for name in Answer.model_fields})


def _reduce(
    models: Sequence[Model], number: int, request: Request, finished: FinishedVersions, limits: ImageLimits
) -> Reduced:
    """One version's answer, and the arrays that it is compared by where those are of all chunks."""
    model, last = models[number], models[-1]
    if _is_quick(request):
        return Reduced(_read(request.method, finished.answers[0]), {})
    own = Finished(finished.answers, finished.pictures(prefix_of(model)), finished.report)
    reduced = reduce_chunks(model, address(request, last, model), own, limits)
    return replace(reduced, arrays=name_alike(reduced.arrays, model, last))


def _read(method: AnyMethod, answer: Answer) -> Finding:
    """What a quick method found, as its chunk has it."""
    models: Any = Union[method.values]  # noqa: UP007 - of a tuple
    form: TypeAdapter[Values] = TypeAdapter(models)
    return Finding(answer.layer, answer.target, answer.predictions, [], form.validate_python(answer.values))


def _describe(model: Model, found: Finding, correlation: float | None) -> VersionValues:
    return VersionValues(
        version=model.version,
        model_sha256=model.digest,
        layer=found.layer,
        target=found.target,
        predictions=found.predictions,
        correlation=correlation,
        values=_as_values(found.values),
    )


def _as_values(values: BaseModel) -> Values:
    assert isinstance(values, Values), "what is answered has the form of answers"
    return values


def _judge(
    method: AnyMethod, neighbours: list[Neighbours], found: Sequence[Finding], entries: list[VersionValues]
) -> VersionsValues:
    """What was compared, how alike neighbours are, and the least of that; null where one of them has a reason."""
    reasons = [f"versions {one.older} and {one.newer}: {one.reason}" for one in neighbours if one.reason]
    known = [pair.correlation for pair in neighbours if pair.correlation is not None]
    values = [each.values for each in found if isinstance(each.values, DatasetValues)]
    skipped = {item.name: item for each in values for item in each.skipped}
    return VersionsValues(
        compared=method.compared,
        neighbours=neighbours,
        min_correlation=None if reasons else min(known),
        reason=reasons[0] if reasons else None,
        images=values[-1].images if values else None,
        skipped=list(skipped.values()) if values else None,
        versions=entries,
    )


def _firsts(models: Sequence[Model], found: Sequence[Finding], pictures: PicturesOf) -> list[Pixels]:
    """The first picture of each version that has one."""
    firsts = (
        decode_png(each.images[0].data)
        if each.images
        else next((pixels for _, pixels in pictures(prefix_of(model))), None)
        for model, each in zip(models, found, strict=True)
    )
    return [pixels for pixels in firsts if pixels is not None]


def _draw(
    request: Request, entries: Sequence[VersionValues], found: Sequence[Finding], firsts: Sequence[Pixels]
) -> Iterator[ResultImage]:
    method, titles = request.method, list(map(_label, entries))
    plane = method.plane if isinstance(method, DatasetMethod) else None
    if plane is not None:
        yield encode(draw_planes(titles, [plane(each.values) for each in found]))
    elif len(firsts) == len(entries):
        note = OWN_SCALE if request.images is not None and _has_own_scale(method) else ""
        yield encode(draw_side_by_side(list(zip(titles, firsts, strict=True)), note))
    if isinstance(method, DatasetMethod) and method.over_versions is not None:
        values: list[tuple[str, Any]] = [(one.version, each.values) for one, each in zip(entries, found, strict=True)]
        yield encode(draw_scatter(method.over_versions(values), None))


def _has_own_scale(method: AnyMethod) -> bool:
    if isinstance(method, ImageMethod):
        return method.over_dataset.own_scale
    return isinstance(method, DatasetMethod) and method.own_scale


def _name(models: Sequence[Model], found: Sequence[Finding]) -> Iterator[ResultImage]:
    """The pictures of the answers, named after their versions."""
    for model, each in zip(models, found, strict=True):
        for image in each.images:
            yield image.model_copy(update={"name": f"{prefix_of(model)}{image.name}"})


def _label(entry: VersionValues) -> str:
    correlation = entry.correlation
    return f"version {entry.version}" + ("" if correlation is None else f"   r = {correlation:.3f}")
