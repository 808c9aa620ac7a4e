"""Jobs over the one path of computation: a request cut into chunks, each computed by itself, all reduced to one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter

from schemas.results import Provenance, Result, Timings
from service.engine.annotations.reading import Annotations
from service.engine.datasets.batches import Slice
from service.engine.datasets.over_images import compute_slice
from service.engine.drawing.png import decode_png
from service.engine.finite import finite_values
from service.engine.images.decoding import ImageLimits
from service.engine.kinds.context import Context
from service.engine.kinds.method import DatasetMethod, ImageMethod, ItemsMethod
from service.engine.model import Model
from service.engine.running.reduction import Finished, reduce_chunks
from service.engine.running.request import Request, refuse
from service.engine.running.run import make_result, observe, present, take_photo
from service.errors import JobTooLargeError


@dataclass(frozen=True)
class JobLimits:
    """What one job may ask for, and the memory that one of its chunks may take."""

    max_items: int = 2048
    max_steps: int = 1000
    max_size: int = 512
    max_bytes: int = 2**30


@dataclass(frozen=True)
class Plan:
    """The chunks of a request, by item; with `combines` what they came to is made one answer in the end."""

    unit: str
    chunks: list[list[int]]
    combines: bool


def plan(model: Model, request: Request, image_limits: ImageLimits, job_limits: JobLimits) -> Plan:
    """Check all that can be known before computing, the picture included, and cut the work.

    A method without items is one chunk. Raises a ConvscopeError.
    """
    work = plan_one(model, request, image_limits, job_limits)
    check_annotations(request)
    return work


def check_annotations(request: Request) -> None:
    """Those of the request's dataset, where the method looks at them. Raises AnnotationInvalidError."""
    method = request.method
    if request.images is not None and isinstance(method, ImageMethod) and method.over_dataset.annotated:
        Annotations(request.images, request.allowance.check).check()


def plan_one(model: Model, request: Request, image_limits: ImageLimits, job_limits: JobLimits) -> Plan:
    """As `plan`, but for the annotations: those are the same for all versions of a model."""
    refuse(model, request)
    take_photo(model, request, image_limits)
    _require_modest("steps", request, job_limits.max_steps)
    _require_modest("size", request, job_limits.max_size)
    method = request.method
    if method.check is not None:
        with finite_values():
            method.check(model.probe, request.params)
    if request.images is not None:
        return _slice(request, len(request.images))
    if not isinstance(method, ItemsMethod):
        return Plan("images" if method.consumes == "image" else "results", [[0]], combines=False)
    chunks = method.cut(model.probe, request.params, job_limits.max_bytes)
    count = sum(map(len, chunks))
    if count > job_limits.max_items:
        raise JobTooLargeError(
            f"{count} {method.unit} are more than the {job_limits.max_items} that one job may ask for: ask for fewer, "
            "or in several jobs",
            method.unit if method.unit in type(request.params).model_fields else None,
        )
    return Plan(method.unit, chunks, combines=True)


def compute(
    model: Model, request: Request, items: Sequence[int], image_limits: ImageLimits, report: Callable[[float], None]
) -> Result:
    """Compute one chunk. `report` is called with the share done, and may raise to stop the work."""
    if request.images is not None:
        result = compute_slice(Slice(model, request, items, image_limits, report))
    else:
        refuse(model, request)
        context = Context(model.preprocessing, report, items)
        result = present(model, request, observe(model, request, image_limits, context))
    report(1.0)
    return result


def combine(model: Model, request: Request, finished: Finished, image_limits: ImageLimits) -> Result:
    """Make one answer of what all chunks came to: its numbers, and the pictures that come before the chunks' own."""
    started = perf_counter()
    reduced = reduce_chunks(model, request, finished, image_limits)
    timings = add_up([answer.timings_seconds for answer in finished.answers], perf_counter() - started)
    origin = _merge([answer.provenance for answer in finished.answers])
    return make_result(model, request, reduced.finding, origin, timings)


def run_all(
    model: Model, request: Request, image_limits: ImageLimits, job_limits: JobLimits, report: Callable[[float], None]
) -> Result:
    """A whole job in this process, chunk by chunk: the same bytes that workers would make of it."""
    work = plan(model, request, image_limits, job_limits)
    total, done = sum(map(len, work.chunks)), 0
    parts: list[Result] = []
    for items in work.chunks:

        def report_share(fraction: float, before: int = done, count: int = len(items)) -> None:
            report((before + count * fraction) / total)

        parts.append(compute(model, request, items, image_limits, report_share))
        done += len(items)
    if not work.combines:
        return parts[0]
    images = [image for part in parts for image in part.images]
    pictures = ((image.name, decode_png(image.data)) for image in images)
    whole = combine(model, request, Finished(parts, pictures, lambda _: None), image_limits)
    return whole.model_copy(update={"images": [*whole.images, *images]})


def _slice(request: Request, count: int) -> Plan:
    method = request.method
    assert isinstance(method, DatasetMethod | ImageMethod), "others take no dataset"
    size = method.slice if isinstance(method, DatasetMethod) else method.over_dataset.slice
    items = range(count)
    return Plan("images", [list(items[start : start + size]) for start in items[::size]], combines=True)


def _require_modest(name: str, request: Request, most: int) -> None:
    asked = getattr(request.params, name, None)
    if asked is not None and asked > most:
        raise JobTooLargeError(f"'{name}' is {asked}; one job may ask for at most {most}", name)


def _merge(provenances: Sequence[Provenance]) -> Provenance:
    """The first chunk's, but where chunks were computed differently, such as on two devices: then every way."""
    first = provenances[0]
    ways = {name: _distinct(provenance.plan.get(name) for provenance in provenances) for name in first.plan}
    plan = {name: found[0] if len(found) == 1 else found for name, found in ways.items()}
    return first.model_copy(update={"plan": plan})


def _distinct(values: Iterable[object]) -> list[object]:
    found: list[object] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def add_up(timings: Sequence[Timings], reducing: float) -> Timings:
    """What all chunks took together, on however many workers, and the reducing."""
    return Timings(
        decode=sum(timing.decode for timing in timings),
        queue=sum(timing.queue for timing in timings),
        compute=sum(timing.compute for timing in timings),
        render=sum(timing.render for timing in timings) + reducing,
    )
