"""Jobs over the one path of computation: a request cut into chunks, each computed by itself, then combined."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from schemas.methods import MethodParams
from schemas.rendering import Colormap, HeatmapRendering
from schemas.results import Answer, Provenance, Result, Timings
from service.engine.arrays import Pixels
from service.engine.datasets.annotations.reading import Annotations
from service.engine.datasets.batches import Slice
from service.engine.datasets.over_images import PICTURE_BY_PICTURE, combine_slices, compute_slice, open_album
from service.engine.drawing.cells import draw_cells, draw_matrix
from service.engine.drawing.charts import draw_bars
from service.engine.drawing.plots import draw_scatter
from service.engine.drawing.png import decode_png
from service.engine.drawing.reconstructions import draw_decoded
from service.engine.drawing.rendering import Drawing, draw_map
from service.engine.drawing.visuals import Bars, CellSheet, Matrix, ScalarMap, Scatter, Tiles, WholePicture
from service.engine.images.decoding import ImageLimits
from service.engine.method import AnyMethod, Context, Whole
from service.engine.model import Model
from service.engine.run import Request, encode, refuse, run, take_photo
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
    """The chunks of a request, by item; with `combines` their answers are made one in the end."""

    unit: str
    chunks: list[list[int]]
    combines: bool


def plan(model: Model, request: Request, image_limits: ImageLimits, job_limits: JobLimits) -> Plan:
    """Check all that can be known before computing, the picture included, and cut the work.

    A method without an axis is one chunk. Raises a ConvscopeError.
    """
    refuse(model, request)
    take_photo(model, request, image_limits)
    _require_modest("steps", request, job_limits.max_steps)
    _require_modest("size", request, job_limits.max_size)
    if request.method.check is not None:
        request.method.check(model.probe, request.params)
    if request.images is not None:
        if request.method.lays_maps:
            Annotations(request.images, request.allowance.check).check()
        return _slice(request.method, len(request.images))
    axis = request.method.axis
    if axis is None:
        return Plan("images" if request.method.consumes == "image" else "results", [[0]], combines=False)
    chunks = axis.cut(model.probe, request.params, job_limits.max_bytes)
    count = sum(map(len, chunks))
    if count > job_limits.max_items:
        raise JobTooLargeError(
            f"{count} {axis.unit} are more than the {job_limits.max_items} that one job may ask for: ask for fewer, "
            "or in several jobs",
            axis.unit if axis.unit in type(request.params).model_fields else None,
        )
    return Plan(axis.unit, chunks, combines=True)


def compute(
    model: Model, request: Request, items: Sequence[int], image_limits: ImageLimits, report: Callable[[float], None]
) -> Result:
    """Compute one chunk. `report` is called with the share done, and may raise to stop the work."""
    if request.images is not None:
        result = compute_slice(Slice(model, request, items, image_limits, report))
        report(1.0)
        return result
    context = None if request.method.axis is None else Context(items, model.preprocessing, report)
    result = run(model, request, image_limits, context)
    report(1.0)
    return result


def combine(
    model: Model,
    request: Request,
    parts: Sequence[Answer],
    pictures: Iterable[tuple[str, Pixels]],
    image_limits: ImageLimits,
) -> Result:
    """Make the whole of all chunks' answers: the result's numbers, and the pictures that come before the chunks' own.

    `pictures` are those of all chunks in order, by name, read as they are needed.
    """
    started = perf_counter()
    return present_whole(model, request, parts, make_whole(model, request, parts, pictures, image_limits), started)


def make_whole(
    model: Model,
    request: Request,
    parts: Sequence[Answer],
    pictures: Iterable[tuple[str, Pixels]],
    image_limits: ImageLimits,
) -> Whole:
    """What all chunks come to together; see `combine`."""
    if request.images is not None:
        return combine_slices(model, request, parts, pictures, open_album(model, request, image_limits))
    axis = request.method.axis
    assert axis is not None, "a plan combines only where there is an axis or a dataset"
    return axis.combine(parts, pictures, request.params)


def present_whole(model: Model, request: Request, parts: Sequence[Answer], whole: Whole, started: float) -> Result:
    """Draw the whole, and say what it is and how it was made; combining began when `perf_counter` was `started`."""
    layer = next((part.layer for part in parts if part.layer), None)
    images = [encode(_draw(picture, layer, model, request.params)) for picture in whole.pictures]
    return Result(
        model=model.name,
        version=model.version,
        method=request.method.name,
        layer=layer,
        target=None,
        predictions=[],
        images=images,
        values=whole.numbers,
        provenance=_merge([part.provenance for part in parts]),
        timings_seconds=add_up([part.timings_seconds for part in parts], perf_counter() - started),
    )


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
    whole = combine(model, request, parts, ((image.name, decode_png(image.data)) for image in images), image_limits)
    return whole.model_copy(update={"images": [*whole.images, *images]})


def _draw(picture: WholePicture, layer: str | None, model: Model, params: MethodParams) -> Drawing:
    if isinstance(picture, Bars):
        return draw_bars(picture)
    if isinstance(picture, Scatter):
        return draw_scatter(picture, layer)
    if isinstance(picture, Tiles):
        return draw_decoded(picture, model.preprocessing)
    if isinstance(picture, ScalarMap):
        assert isinstance(params, HeatmapRendering), "maps are drawn in the colours of a heat map"
        return draw_map(picture, params)
    if isinstance(picture, Matrix | CellSheet):
        colormap: Colormap = getattr(params, "colormap", "viridis")
        return draw_matrix(picture, colormap) if isinstance(picture, Matrix) else draw_cells(picture, colormap)
    name, pixels = picture
    return Drawing(name, layer, pixels)


def _slice(method: AnyMethod, count: int) -> Plan:
    size = (method.over_images or PICTURE_BY_PICTURE).slice
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


def _distinct(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def add_up(timings: Sequence[Timings], combining: float) -> Timings:
    """What all chunks took together, on however many workers, and the combining."""
    return Timings(
        decode=sum(timing.decode for timing in timings),
        queue=sum(timing.queue for timing in timings),
        compute=sum(timing.compute for timing in timings),
        render=sum(timing.render for timing in timings) + combining,
    )
