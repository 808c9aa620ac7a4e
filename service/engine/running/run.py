"""The one path of computation: request → decode → preprocess → compute → draw → result."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from time import perf_counter

import numpy as np
from pydantic import BaseModel

from schemas.methods import ClassScores, MethodParams
from schemas.models import Prediction
from schemas.results import Provenance, Result, ResultImage, Target, Timings
from schemas.values.base import to_json
from service.engine.arrays import Array
from service.engine.drawing.renderer import Facts, Scene
from service.engine.drawing.renderers import renderer_of
from service.engine.drawing.rendering import Drawing
from service.engine.drawing.visuals import Visual
from service.engine.finite import finite_values, require_finite
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import Photo
from service.engine.kinds.context import Context
from service.engine.kinds.method import ImageMethod, ItemsMethod, NetworkMethod
from service.engine.model import Model
from service.engine.running.origin import describe_origin
from service.engine.running.request import Request, refuse
from service.engine.running.viewing import Decoding, see


@dataclass(frozen=True)
class Observation:
    """What a method returned, of which picture, and how many seconds decoding and computing took."""

    visual: Visual
    photo: Photo | None
    decoding: float
    computing: float


@dataclass(frozen=True)
class Finding:
    """What was seen, drawn and put in numbers: a result, but for where it comes from."""

    layer: str | None
    target: Target | None
    predictions: list[Prediction]
    images: list[ResultImage]
    values: BaseModel


def run(model: Model, request: Request, limits: ImageLimits) -> Result:
    """Compute one result of a method that answers at once.

    Raises a ConvscopeError that tells the client what to do.
    """
    refuse(model, request)
    return present(model, request, observe(model, request, limits))


def observe(model: Model, request: Request, limits: ImageLimits, context: Context | None = None) -> Observation:
    """Decode, preprocess, compute; nothing is drawn yet. With a `context`, the items of that; raises what it raises."""
    started = perf_counter()
    photo = take_photo(model, request, limits)
    decoded = perf_counter()
    network_input = model.preprocessing.apply(photo.seen) if photo else None
    request.allowance.check()
    visual = look(model, request, network_input, context)
    return Observation(visual, photo, decoded - started, perf_counter() - decoded)


def look(model: Model, request: Request, network_input: Array | None, context: Context | None = None) -> Visual:
    """What the method sees in a picture in the network's units, (h, w, c) float32. Raises NotFiniteError."""
    method, params = request.method, request.params
    context = context or Context(model.preprocessing, give_up_late(request))
    with finite_values():
        if isinstance(method, ImageMethod):
            assert network_input is not None, "refuse() lets no request without a picture through"
            visual = method.compute(model.probe, network_input, params, context)
        elif isinstance(method, NetworkMethod):
            visual = method.compute(model.probe, params, context)
        else:
            assert isinstance(method, ItemsMethod), "a dataset is gone through slice by slice"
            visual = method.compute(model.probe, network_input, params, context)
    require_finite(renderer_of(visual).arrays(visual))
    return visual


def give_up_late(request: Request) -> Callable[[float], None]:
    """A report for who waits for the answer: nobody sees it, but it ends what takes too long."""

    def report(_: float) -> None:
        request.allowance.check()

    return report


def present(model: Model, request: Request, observation: Observation) -> Result:
    """Draw what was seen, and say what it is and how it was made."""
    started = perf_counter()
    request.allowance.check()
    finding = find(model, request, observation.visual, observation.photo)
    facts = renderer_of(observation.visual).facts(observation.visual)
    origin = describe_origin(model, request, facts, observation.photo)
    timings = Timings(
        decode=observation.decoding,
        queue=request.queue_seconds,
        compute=observation.computing,
        render=perf_counter() - started,
    )
    return make_result(model, request, finding, origin, timings)


def make_result(model: Model, request: Request, finding: Finding, origin: Provenance, timings: Timings) -> Result:
    """What was found as it is sent, or kept."""
    return Result(
        model=model.name,
        version=model.version,
        method=request.method.name,
        layer=finding.layer,
        target=finding.target,
        predictions=finding.predictions,
        images=finding.images,
        values=to_json(finding.values),
        provenance=origin,
        timings_seconds=timings,
    )


def find(model: Model, request: Request, visual: Visual, photo: Photo | None) -> Finding:
    """Draw what was seen, and say what it is. Raises NotFiniteError."""
    renderer = renderer_of(visual)
    scene = Scene(request.params, model.preprocessing, photo)
    with finite_values():
        values = renderer.values(visual, scene)
    wanted = islice(renderer.draw(visual, scene), 1 if request.first_picture_only else None)
    images = [request.write(_encode_in_time(each, request)) for each in wanted]
    return about(model, request.params, renderer.facts(visual), images, values)


def about(model: Model, params: MethodParams, facts: Facts, images: list[ResultImage], values: BaseModel) -> Finding:
    """The pictures and numbers with the names of layer, target and predictions."""
    return Finding(facts.layer, _name_target(model, facts), _list_predictions(model, facts, params), images, values)


def take_photo(model: Model, request: Request, limits: ImageLimits) -> Photo | None:
    """Decode the request's picture, or None where the method looks at none. Raises what `see` raises."""
    if request.image is None or request.method.consumes != "image":
        return None
    decoding = Decoding(limits, request.allowance, request.kept)
    return see(model, request.image, decoding, drawn=request.method.lays_maps)


def encode(drawing: Drawing) -> ResultImage:
    height, width = drawing.pixels.shape[:2]
    return ResultImage(name=drawing.name, layer=drawing.layer, width=width, height=height, data=drawing.encode())


def _encode_in_time(drawing: Drawing, request: Request) -> ResultImage:
    request.allowance.check()
    return encode(drawing)


def _name_target(model: Model, facts: Facts) -> Target | None:
    target = facts.target
    if target is None:
        return None
    return Target(
        index=target.index,
        label=model.label(target.index),
        score=target.score,
        kind=target.kind,
        value=target.value,
    )


def _list_predictions(model: Model, facts: Facts, params: MethodParams) -> list[Prediction]:
    if facts.scores is None:
        return []
    scores = facts.scores.values
    top = params.top if isinstance(params, ClassScores) else len(scores)
    best = np.argsort(-scores, kind="stable")[:top].tolist()
    return [Prediction(index=index, label=model.label(index), score=float(scores[index])) for index in best]
