"""The one path of computation: decode, preprocess, compute, render. Every way in goes through `run`."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any

import numpy as np

from schemas.methods import ClassScores, MethodParams
from schemas.models import Prediction
from schemas.rendering import HeatmapRendering, TilesRendering
from schemas.results import Provenance, Result, ResultImage, Target, Timings
from service.engine.allowance import FREE, Allowance
from service.engine.arrays import Array
from service.engine.drawing.reconstructions import draw_reconstruction, measure_reconstruction
from service.engine.drawing.rendering import Drawing, draw_heatmap, draw_pictures, draw_tiles, measure_heatmap
from service.engine.drawing.visuals import Heatmap, Pictures, Reconstruction, ScoreList, Sheets, Visual
from service.engine.images.archive import Dataset
from service.engine.images.decoding import ImageLimits
from service.engine.method import AnyMethod, Context
from service.engine.model import Model
from service.engine.photo import Photo, describe_range, see
from service.errors import DatasetMissingError, ImageMissingError, MethodUnavailableError, NotFiniteError

_SOFTWARE = ("convscope", "tensorflow", "keras", "numpy", "pillow", "opencv-python-headless", "isal")


@dataclass(frozen=True)
class Request:
    """Which method, with which parameters, on which image's bytes, or on each of a dataset; and what it may take."""

    method: AnyMethod
    params: MethodParams
    image: bytes | None
    first_picture_only: bool = False
    queue_seconds: float = 0.0
    images: Dataset | None = None
    allowance: Allowance = FREE


@dataclass(frozen=True)
class Observation:
    """What a method returned, of which picture, and how many seconds decoding and computing took."""

    visual: Visual
    photo: Photo | None
    decoding: float
    computing: float


@dataclass(frozen=True)
class Finding:
    """What was seen in a picture, drawn and put in numbers: a result, but for where it comes from."""

    layer: str | None
    target: Target | None
    predictions: list[Prediction]
    images: list[ResultImage]
    values: dict[str, Any]


def run(model: Model, request: Request, limits: ImageLimits, context: Context | None = None) -> Result:
    """Compute one result; of a method with an axis, the items of `context`.

    Raises a ConvscopeError that tells the client what to do, or whatever `context.report` raises.
    """
    refuse(model, request)
    return present(model, request, observe(model, request, limits, context))


def observe(model: Model, request: Request, limits: ImageLimits, context: Context | None = None) -> Observation:
    """Decode, preprocess, compute; nothing is drawn yet."""
    started = perf_counter()
    photo = take_photo(model, request, limits)
    decoded = perf_counter()
    network_input = model.preprocessing.apply(photo.seen) if photo else None
    request.allowance.check()
    visual = look(model, request, network_input, context)
    return Observation(visual, photo, decoded - started, perf_counter() - decoded)


def look(model: Model, request: Request, network_input: Array | None, context: Context | None = None) -> Visual:
    """What the method sees in a picture in the network's units, (h, w, c) float32. Raises NotFiniteError."""
    more = () if context is None else (context,)
    visual = request.method.compute(model.probe, network_input, request.params, *more)
    _require_finite(visual)
    return visual


def present(model: Model, request: Request, observation: Observation) -> Result:
    """Draw what was seen, and say what it is and how it was made."""
    started = perf_counter()
    request.allowance.check()
    finding = find(model, request, observation.visual, observation.photo)
    return Result(
        model=model.name,
        version=model.version,
        method=request.method.name,
        layer=finding.layer,
        target=finding.target,
        predictions=finding.predictions,
        images=finding.images,
        values=finding.values,
        provenance=describe_origin(model, request, observation.visual, observation.photo),
        timings_seconds=Timings(
            decode=observation.decoding,
            queue=request.queue_seconds,
            compute=observation.computing,
            render=perf_counter() - started,
        ),
    )


def find(model: Model, request: Request, visual: Visual, photo: Photo | None) -> Finding:
    """Draw what was seen, and say what it is."""
    drawings, values = _draw(model, visual, photo, request.params)
    wanted = drawings[:1] if request.first_picture_only else drawings
    return Finding(
        layer=None if isinstance(visual, ScoreList) else visual.layer,
        target=_target(model, visual),
        predictions=_predictions(model, visual, request.params),
        images=[_encode_in_time(drawing, request.allowance) for drawing in wanted],
        values=values,
    )


def refuse(model: Model, request: Request) -> None:
    """Raise what can be known without computing: a method that cannot work here, a missing image."""
    if reason := request.method.refuse(model.network_info):
        raise MethodUnavailableError(f"'{request.method.name}' does not work on '{model.name}': {reason}")
    if request.images is not None:
        return
    if request.method.consumes == "image" and request.image is None:
        raise ImageMissingError(
            "no image was sent: add the form field 'image' (a file) or the JSON member 'image' (base64)"
        )
    if request.method.consumes == "images":
        raise DatasetMissingError(
            "no images were sent: add the form field 'images' (a ZIP, or several files) or 'dataset'"
        )


def take_photo(model: Model, request: Request, limits: ImageLimits) -> Photo | None:
    """Decode the request's picture, or None where the method looks at none. Raises what `see` raises."""
    if request.image is None or request.method.consumes != "image":
        return None
    return see(model, request.image, limits, request.allowance, drawn=request.method.lays_maps)


def _require_finite(visual: Visual) -> None:
    arrays: list[Array] = [visual.scores.values] if isinstance(visual, Heatmap | ScoreList) else []
    if isinstance(visual, Heatmap):
        arrays.append(visual.values)
    elif isinstance(visual, Sheets):
        arrays += [tiles.values for tiles in visual.tiles]
    elif isinstance(visual, Reconstruction):
        arrays += [visual.original, visual.decoded]
    elif isinstance(visual, Pictures):
        arrays += [picture.values for picture in visual.pictures]
    if not all(np.isfinite(array).all() for array in arrays):
        raise NotFiniteError("the network holds or answers NaN or infinity: check its weights and its preprocessing")


def _draw(
    model: Model, visual: Visual, photo: Photo | None, params: MethodParams
) -> tuple[list[Drawing], dict[str, Any]]:
    if isinstance(visual, Sheets):
        assert isinstance(params, TilesRendering), "a method that returns Sheets takes TilesRendering parameters"
        return [draw_tiles(tiles, params, model.preprocessing.channel_order) for tiles in visual.tiles], visual.numbers
    if isinstance(visual, Pictures):
        return draw_pictures(visual), visual.numbers
    if isinstance(visual, Reconstruction):
        return draw_reconstruction(visual, model.preprocessing), measure_reconstruction(visual, model.preprocessing)
    if not isinstance(visual, Heatmap):
        return [], {}
    assert isinstance(params, HeatmapRendering), "a method that returns a Heatmap takes HeatmapRendering parameters"
    assert photo is not None, "a heat map lies over a picture"
    drawings = draw_heatmap(visual, photo.picture, params, photo.framing)
    drawings.append(Drawing("input", None, photo.seen))
    return drawings, measure_heatmap(visual, params, photo.framing)


def encode(drawing: Drawing) -> ResultImage:
    height, width = drawing.pixels.shape[:2]
    return ResultImage(name=drawing.name, layer=drawing.layer, width=width, height=height, data=drawing.encode())


def _encode_in_time(drawing: Drawing, allowance: Allowance) -> ResultImage:
    allowance.check()
    return encode(drawing)


def _target(model: Model, visual: Visual) -> Target | None:
    if not isinstance(visual, Heatmap):
        return None
    target = visual.target
    return Target(
        index=target.index,
        label=model.label(target.index),
        score=target.score,
        kind=target.kind,
        value=target.value,
    )


def _predictions(model: Model, visual: Visual, params: MethodParams) -> list[Prediction]:
    if not isinstance(visual, Heatmap | ScoreList):
        return []
    scores = visual.scores.values
    top = params.top if isinstance(params, ClassScores) else len(scores)
    best = np.argsort(-scores, kind="stable")[:top].tolist()
    return [Prediction(index=index, label=model.label(index), score=float(scores[index])) for index in best]


def describe_origin(
    model: Model, request: Request, visual: Visual | None = None, photo: Photo | None = None
) -> Provenance:
    """All that is needed to make a result again."""
    params = request.params.model_dump()
    plan: dict[str, Any] = {}
    if isinstance(visual, Heatmap):
        params |= {"layer": visual.layer, "class_index": visual.target.index}
    if isinstance(visual, Pictures):
        params |= {"layer": visual.layer, **visual.resolved}
        plan |= visual.plan
    if photo is not None:
        plan |= {
            "input_size": list(photo.seen.shape[:2]),
            "fit": photo.framing.fit,
            "resampling": "pillow-bilinear",
            "preprocessing": model.preprocessing.name,
        }
        if photo.samples is not None:
            plan["sample_range"] = describe_range(photo.samples)
    return Provenance(
        params=params,
        seed=params.get("seed"),
        image_sha256=hashlib.sha256(request.image).hexdigest() if photo and request.image else None,
        images_sha256=request.images.sha256 if request.images else None,
        model_sha256=model.digest,
        plan=plan,
        software=software(),
    )


@cache
def software() -> dict[str, str]:
    """Installed versions of the packages that a result depends on, by package name."""
    versions = {}
    for package in _SOFTWARE:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            # `tensorflow-cpu` and distribution builds carry other names.
            continue
    return versions
