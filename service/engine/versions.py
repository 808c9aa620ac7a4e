"""One request over several versions of a model, such as snapshots of its training, laid side by side and compared.

Where nothing but the network differs, all are drawn on one scale and asked about the same class, that of the last. A
method with an axis or a set of its own is gone through for each version by itself.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from time import perf_counter
from typing import Any, Final

import numpy as np

from schemas.methods import MethodParams
from schemas.rendering import HeatmapRendering
from schemas.results import Answer, Result
from service.engine.arrays import Pixels
from service.engine.charts import draw_side_by_side
from service.engine.chunks import JobLimits, Plan, plan, run_all
from service.engine.correlation import correlate, correlate_pictures
from service.engine.images import ImageLimits
from service.engine.model import Model
from service.engine.plots import draw_scatter
from service.engine.png import decode_png
from service.engine.rendering import EPSILON
from service.engine.run import Observation, Request, describe_origin, encode, observe, present, refuse
from service.engine.visuals import Heatmap, Sheets, Visual
from service.errors import TooFewVersionsError, VersionsDifferError

Report = Callable[[float], None]
MAX_VERSIONS: Final = 50


def plan_versions(models: Sequence[Model], request: Request, image_limits: ImageLimits, limits: JobLimits) -> Plan:
    """Check the request on every version. Raises a ConvscopeError."""
    if not 2 <= len(models) <= MAX_VERSIONS:
        raise TooFewVersionsError(f"{len(models)} versions were named: 2 to {MAX_VERSIONS} are compared")
    for model in models[1:]:
        _require_same_layers(models[0], model)
    for model in models:
        plan(model, _address(request, models[-1], model), image_limits, limits)
    items = list(range(len(models)))
    return Plan("versions", [items] if _is_quick(request) else [[item] for item in items], combines=True)


def compute_versions(
    models: Sequence[Model],
    request: Request,
    items: Sequence[int],
    limits: tuple[ImageLimits, JobLimits],
    report: Report,
) -> Result:
    """The versions of one chunk: their pictures, named after them, and in `values.versions` what else they came to."""
    chosen = [models[item] for item in items]
    if _is_quick(request):
        results, correlations = _look_at_once(chosen, request, limits[0], report)
    else:
        results, correlations = (
            [run_all(model, _address(request, models[-1], model), *limits, report) for model in chosen],
            [None] * len(chosen),
        )
    report(1.0)
    entries = [
        {
            "version": result.version,
            "model_sha256": result.provenance.model_sha256,
            "layer": result.layer,
            "target": None if result.target is None else result.target.model_dump(),
            "predictions": [prediction.model_dump() for prediction in result.predictions],
            "correlation": correlation,
            "values": result.values,
        }
        for result, correlation in zip(results, correlations, strict=True)
    ]
    images = [
        image.model_copy(update={"name": f"v{result.version}--{image.name}"})
        for result in results
        for image in result.images
    ]
    return results[-1].model_copy(update={"images": images, "values": {"versions": entries}})


def combine_versions(
    models: Sequence[Model], request: Request, parts: Sequence[Answer], pictures: Iterable[tuple[str, Pixels]]
) -> Result:
    """The first picture of every version side by side, and the correlation of neighbours."""
    started = perf_counter()
    entries = [entry for part in parts for entry in part.values["versions"]]
    firsts, by_pictures = _go_through([entry["version"] for entry in entries], pictures)
    if request.method.consumes != "images":
        # Those draw charts, of which this would say nothing.
        for entry, correlation in zip(entries, by_pictures, strict=True):
            entry["correlation"] = correlation if entry["correlation"] is None else entry["correlation"]
    neighbours = [
        {"from": one["version"], "to": other["version"], "correlation": other["correlation"]}
        for one, other in pairwise(entries)
    ]
    known = [pair["correlation"] for pair in neighbours if pair["correlation"] is not None]
    labels = [_label(entry) for entry in entries]
    sheet = [encode(draw_side_by_side(list(zip(labels, firsts, strict=True))))] if firsts else []
    if request.method.over_versions is not None:
        curves = request.method.over_versions([(entry["version"], entry["values"]) for entry in entries])
        sheet.append(encode(draw_scatter(curves, None)))
    last = parts[-1]
    return Result(
        **{name: getattr(last, name) for name in ("model", "method", "layer", "target", "predictions")},
        version=",".join(entry["version"] for entry in entries),
        images=sheet,
        values={"neighbours": neighbours, "min_correlation": min(known, default=None), "versions": entries},
        provenance=describe_origin(models[-1], request).model_copy(update={"plan": last.provenance.plan}),
        timings_seconds=last.timings_seconds.model_copy(update={"render": perf_counter() - started}),
    )


def run_versions(
    models: Sequence[Model], request: Request, limits: tuple[ImageLimits, JobLimits], report: Report
) -> Result:
    """All of it in this process."""
    work = plan_versions(models, request, *limits)
    parts = []
    for number, items in enumerate(work.chunks):

        def report_share(fraction: float, before: int = number) -> None:
            report((before + fraction) / len(work.chunks))

        parts.append(compute_versions(models, request, items, limits, report_share))
    images = [image for part in parts for image in part.images]
    whole = combine_versions(models, request, parts, ((image.name, decode_png(image.data)) for image in images))
    return whole.model_copy(update={"images": [*whole.images, *images]})


def _is_quick(request: Request) -> bool:
    return request.method.kind == "interactive" and request.images is None


def _look_at_once(
    models: Sequence[Model], request: Request, limits: ImageLimits, report: Report
) -> tuple[list[Result], list[float | None]]:
    last = _observe(models[-1], request, limits)
    asked = replace(request, params=_ask_for_class(request.params, last.visual))
    observations = []
    for number, model in enumerate(models[:-1]):
        observations.append(_observe(model, _address(asked, models[-1], model), limits))
        report((number + 1) / len(models))
    observations.append(last)
    visuals = [observation.visual for observation in observations]
    drawn = replace(asked, params=_share_scale(asked.params, visuals))
    results = [
        present(model, _address(drawn, models[-1], model), replace(observation, visual=visual))
        for model, observation, visual in zip(models, observations, _share_bounds(visuals), strict=True)
    ]
    correlations = [correlate(one, other) for one, other in pairwise(visuals)]
    return results, [None, *correlations]


def _observe(model: Model, request: Request, limits: ImageLimits) -> Observation:
    refuse(model, request)
    return observe(model, request, limits)


def _ask_for_class(params: MethodParams, visual: Visual) -> MethodParams:
    """The same class of every version, or maps would be compared that show different things."""
    if isinstance(visual, Heatmap) and getattr(params, "class_index", 0) is None:
        return params.model_copy(update={"class_index": visual.target.index})
    return params


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


def _go_through(
    versions: Sequence[str], pictures: Iterable[tuple[str, Pixels]]
) -> tuple[list[Pixels], list[float | None]]:
    """Each version's first picture, and how alike its pictures are to those of the version before."""
    firsts: dict[str, Pixels] = {}
    known: dict[str, Pixels] = {}
    likenesses: dict[str, list[float]] = {version: [] for version in versions}
    order = {version: number for number, version in enumerate(versions)}
    for name, pixels in pictures:
        version, _, own = name.removeprefix("v").partition("--")
        firsts.setdefault(version, pixels)
        before = known.pop(own, None) if order[version] else None
        known[own] = pixels
        if before is not None and (likeness := correlate_pictures(before, pixels)) is not None:
            likenesses[version].append(likeness)
    means = [float(np.mean(likenesses[version])) if likenesses[version] else None for version in versions]
    return [firsts[version] for version in versions if version in firsts], means


def _label(entry: dict[str, Any]) -> str:
    correlation = entry["correlation"]
    return f"version {entry['version']}" + ("" if correlation is None else f"   r = {correlation:.3f}")


def _require_same_layers(first: Model, other: Model) -> None:
    """By kind and shape, in order: where layers were not named, each training gives them names of its own."""
    ours, theirs = first.anatomy.layers, other.anatomy.layers
    for one, another in zip(ours, theirs, strict=False):
        if (one.type, one.output_shape) != (another.type, another.output_shape):
            raise VersionsDifferError(
                f"versions {first.version} and {other.version} have different layers: '{one.path}' {one.output_shape} "
                f"and '{another.path}' {another.output_shape}"
            )
    if len(ours) != len(theirs):
        raise VersionsDifferError(
            f"versions {first.version} and {other.version} have {len(ours)} and {len(theirs)} layers"
        )


def _address(request: Request, last: Model, model: Model) -> Request:
    """The request with its layers named as this version names them: by their place, as the last version has it."""
    places = {layer.path: place for place, layer in enumerate(last.anatomy.layers)}

    def find(reference: str) -> str:
        return model.anatomy.layers[places[last.probe.layer(reference).path]].path

    named: dict[str, Any] = {}
    if reference := getattr(request.params, "layer", None):
        named["layer"] = find(reference)
    if references := getattr(request.params, "layers", None):
        named["layers"] = [find(reference) for reference in references]
    return replace(request, params=request.params.model_copy(update=named)) if named else request
