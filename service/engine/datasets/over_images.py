"""One method over a slice of a dataset, and the slices made whole."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from time import perf_counter
from typing import Any, Final

from schemas.results import Answer, Result, ResultImage, Timings
from service.engine.arrays import Pixels
from service.engine.datasets.annotations.reading import Annotations
from service.engine.datasets.batches import Slice, decode_batches
from service.engine.datasets.picture_by_picture import find_each
from service.engine.drawing.visuals import Numbers
from service.engine.images.archive import Dataset, Member
from service.engine.images.decoding import ImageLimits
from service.engine.images.lookalikes import explain_lookalike
from service.engine.method import Album, Context, OverImages, Whole
from service.engine.model import Model
from service.engine.photo import see
from service.engine.run import Finding, Request, describe_origin
from service.errors import ConvscopeError, DatasetEmptyError, ImageInvalidError


def compute_slice(work: Slice) -> Result:
    """The pictures of one chunk; those that cannot be read or computed are listed in `values.skipped`."""
    return _compute_together(work) if work.request.method.consumes == "images" else _compute_each(work)


def combine_slices(
    model: Model,
    request: Request,
    parts: Sequence[Answer],
    pictures: Iterable[tuple[str, Pixels]],
    album: Album,
) -> Whole:
    """The whole of a dataset. Raises DatasetEmptyError where not one of its pictures could be used."""
    skipped = [item for part in parts for item in part.values["skipped"]] + _list_lookalikes(request.images)
    count = sum(part.values["images"] for part in parts)
    if not count:
        raise DatasetEmptyError(f"none of the {len(skipped)} pictures can be used; the first: {skipped[0]['detail']}")
    over_images = request.method.over_images or PICTURE_BY_PICTURE
    if over_images.conclude is not None:
        whole = over_images.conclude(model.probe, parts, request.params)
    else:
        assert over_images.combine is not None, "a method makes the whole of a dataset in one way or the other"
        whole = over_images.combine(parts, pictures, request.params)
    if over_images.illustrate is not None:
        illustrations = over_images.illustrate(parts, request.params, album)
        whole = replace(whole, pictures=chain(illustrations, whole.pictures))
    ranges = [item for part in parts for item in part.values.get("sample_ranges", ())]
    told = {"sample_ranges": ranges} if ranges else {}
    return replace(whole, numbers={"images": count, "skipped": skipped} | told | whole.numbers)


def _list_lookalikes(images: Dataset | None) -> list[dict[str, Any]]:
    """What nobody tried to read, and is missed all the same."""
    code = ImageInvalidError.code
    return [
        {"index": None, "name": name, "code": code, "detail": explain_lookalike(name)}
        for name in (images.lookalikes if images is not None else ())
    ]


def open_album(model: Model, request: Request, limits: ImageLimits) -> Album:
    """The pictures of the request's dataset, one at a time."""
    images = request.images
    assert images is not None, "an album is one of a dataset"
    return lambda index: see(model, images.read(index, limits.max_bytes), limits).seen


def list_items(parts: Sequence[Answer]) -> list[dict[str, Any]]:
    """What each picture of a dataset came to, in order, for a method of one image."""
    return [item for part in parts for item in part.values["items"]]


def _only_list(parts: Sequence[Answer], _: Iterable[tuple[str, Pixels]], __: Any) -> Whole:
    return Whole((), {"items": list_items(parts)})


# What a method of one image makes of a dataset where it says nothing else.
PICTURE_BY_PICTURE: Final = OverImages[Any](combine=_only_list)


def _compute_together(work: Slice) -> Result:
    """A method that takes all pictures of the slice itself."""
    started = perf_counter()
    method, params = work.request.method, work.request.params
    context = Context(work.items, work.model.preprocessing, work.report, work.images.members)
    found = method.compute(work.model.probe, decode_batches(work), params, context)
    assert isinstance(found, Numbers), "a method that consumes images returns Numbers"
    work.keep(None, found)
    count = len(work.items) - len(work.skipped)
    values = found.numbers | {"images": count, "skipped": work.skipped} | _tell_ranges(work)
    return _make_result(work, found.layer, [], values, perf_counter() - started)


def _compute_each(work: Slice) -> Result:
    """A method of one image, for a batch of them at a time."""
    started = perf_counter()
    if work.request.method.lays_maps:
        work = replace(work, annotations=Annotations(work.images))
    images: list[ResultImage] = []
    items: list[dict[str, Any]] = []
    layer: str | None = None
    for member, outcome in find_each(work):
        if isinstance(outcome, ConvscopeError):
            work.skip(member, outcome)
            continue
        layer = layer or outcome.layer
        images += outcome.images
        items.append(_describe(member, outcome))
    values = {"images": len(items), "skipped": work.skipped, "items": items} | _tell_ranges(work)
    return _make_result(work, layer, images, values, perf_counter() - started)


def _tell_ranges(work: Slice) -> dict[str, Any]:
    ranges = sorted(work.ranges, key=lambda item: int(item["index"]))
    return {"sample_ranges": ranges} if ranges else {}


def _describe(member: Member, finding: Finding) -> dict[str, Any]:
    return {
        "index": member.index,
        "name": member.name,
        "label": member.label,
        "picture": finding.images[0].name if finding.images else None,
        "target": None if finding.target is None else finding.target.model_dump(),
        "predictions": [prediction.model_dump() for prediction in finding.predictions],
        **finding.values,
    }


def _make_result(
    work: Slice, layer: str | None, images: list[ResultImage], values: dict[str, Any], seconds: float
) -> Result:
    return Result(
        model=work.model.name,
        version=work.model.version,
        method=work.request.method.name,
        layer=layer,
        target=None,
        predictions=[],
        images=images,
        values=values,
        provenance=describe_origin(work.model, work.request),
        # Decoding and drawing go on while others are computed.
        timings_seconds=Timings(decode=0.0, queue=0.0, compute=seconds, render=0.0),
    )
