"""What all chunks of a job came to, made one answer by the method's reducer, and drawn."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pydantic import BaseModel

from schemas.results import Answer, ResultImage
from schemas.values.datasets import DatasetValues, Skipped
from service.engine.arrays import Pixels
from service.engine.correlation import Arrays
from service.engine.drawing.renderer import Facts, Scene
from service.engine.drawing.renderers import renderer_of
from service.engine.finite import finite_values, require_finite
from service.engine.images.decoding import ImageLimits
from service.engine.images.lookalikes import explain_lookalike
from service.engine.images.photo import ImageFile, Photo
from service.engine.kinds.context import Album, Reduction, Summary, no_album
from service.engine.kinds.method import DatasetMethod, ImageMethod, ItemsMethod
from service.engine.kinds.picture_items import SliceChunk
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.running.run import Finding, about, encode, take_photo
from service.engine.running.viewing import Decoding, see
from service.errors import DatasetEmptyError, ImageInvalidError


@dataclass(frozen=True)
class Reduced:
    """One answer of all chunks, and the arrays by which versions are compared."""

    finding: Finding
    arrays: Arrays


@dataclass(frozen=True)
class Finished:
    """All chunks of a job: what they came to, and their pictures in order, by name, read as they are needed.

    `report` may raise where the work is to be given up.
    """

    answers: Sequence[Answer]
    pictures: Iterable[tuple[str, Pixels]]
    report: Callable[[float], None]


def reduce_chunks(model: Model, request: Request, finished: Finished, limits: ImageLimits) -> Reduced:
    """Reduce and draw. Raises DatasetEmptyError, NotFiniteError, or what `finished.report` raises."""
    photo = take_photo(model, request, limits) if request.images is None else None
    reduction = Reduction(
        probe=model.probe,
        preprocessing=model.preprocessing,
        report=finished.report,
        layer=next((part.layer for part in finished.answers if part.layer), None),
        image=None if photo is None else model.preprocessing.apply(photo.seen),
        pictures=finished.pictures,
        album=_open_album(model, request, limits),
    )
    with finite_values():
        summary = _reduce(request, finished.answers, reduction)
    return Reduced(_draw(model, request, summary, photo, reduction.layer), summary.arrays)


def _reduce(request: Request, parts: Sequence[Answer], reduction: Reduction) -> Summary:
    method = request.method
    if isinstance(method, ItemsMethod):
        chunks = [method.chunk.model_validate(part.values) for part in parts]
        return method.reduce(chunks, reduction, request.params)
    assert isinstance(method, DatasetMethod | ImageMethod), "others have no chunks to reduce"
    chunk = method.chunk if isinstance(method, DatasetMethod) else method.over_dataset.chunk
    form: Any = SliceChunk.__class_getitem__(chunk)
    slices = [form.model_validate(part.values) for part in parts]
    skipped = [item for each in slices for item in each.skipped] + _list_lookalikes(request)
    count = sum(each.images for each in slices)
    if not count:
        raise DatasetEmptyError(f"none of the {len(skipped)} pictures can be used; the first: {skipped[0].detail}")
    if isinstance(method, DatasetMethod):
        summary = method.reduce([each.found for each in slices], reduction, request.params)
    else:
        items = list(chain.from_iterable(each.found.items for each in slices))
        summary = method.over_dataset.reduce(items, reduction, request.params)
    ranges = [item for each in slices for item in each.sample_ranges]
    return _tell(summary, {"images": count, "skipped": skipped, "sample_ranges": ranges or None})


def _tell(summary: Summary, known: dict[str, object]) -> Summary:
    assert isinstance(summary.values, DatasetValues), "the numbers of a dataset say which pictures they are of"
    return Summary(summary.visuals, summary.values.model_copy(update=known), summary.arrays)


def _draw(model: Model, request: Request, summary: Summary, photo: Photo | None, layer: str | None) -> Finding:
    """The pictures of the summary; what they are about is that of the first that is about a class."""
    scene = Scene(request.params, model.preprocessing, photo, layer)
    images: list[ResultImage] = []
    facts = Facts(layer)
    values: BaseModel | None = summary.values
    for visual in summary.visuals:
        renderer = renderer_of(visual)
        require_finite(renderer.arrays(visual))
        found = renderer.facts(visual)
        if found.target is not None:
            facts = found
        values = values or renderer.values(visual, scene)
        images += map(encode, renderer.draw(visual, scene))
    assert values is not None, "a summary has values, or a visual that has"
    return about(model, request.params, facts, images, values)


def _list_lookalikes(request: Request) -> list[Skipped]:
    """What nobody tried to read, and is missed all the same."""
    names = request.images.lookalikes if request.images is not None else ()
    code = ImageInvalidError.code
    return [Skipped(index=None, name=name, code=code, detail=explain_lookalike(name)) for name in names]


def _open_album(model: Model, request: Request, limits: ImageLimits) -> Album:
    """The pictures of the request's dataset, one at a time."""
    images = request.images
    if images is None:
        return no_album
    return lambda index: see(model, ImageFile(images.read(index, limits.max_bytes)), Decoding(limits)).seen
