"""One method over a slice of a set of pictures, and the slices made whole."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from threading import Lock
from time import perf_counter
from typing import Any, Final

from schemas.results import Answer, Result, ResultImage, Timings
from service.engine.arrays import Pixels
from service.engine.batching import BatchingProbe
from service.engine.images import ImageLimits
from service.engine.method import Album, Context, OverImages, Whole
from service.engine.model import Model
from service.engine.probe import BatchProbe
from service.engine.run import Observation, Request, describe_origin, observe, present, see
from service.engine.sets.annotations import Annotations
from service.engine.sets.batches import BATCH, Slice, decode_batches
from service.engine.sets.image_set import Member
from service.engine.sets.localisation import localise
from service.engine.sets.lockstep import Lockstep
from service.engine.sets.truth import find_class
from service.engine.visuals import Heatmap, Numbers
from service.errors import ConvscopeError, SetEmptyError


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
    """The whole of a set. Raises SetEmptyError where not one of its pictures could be used."""
    skipped = [item for part in parts for item in part.values["skipped"]]
    count = sum(part.values["images"] for part in parts)
    if not count:
        raise SetEmptyError(f"none of the {len(skipped)} pictures can be used; the first: {skipped[0]['detail']}")
    over_images = request.method.over_images or PICTURE_BY_PICTURE
    if over_images.conclude is not None:
        whole = over_images.conclude(model.probe, parts, request.params)
    else:
        assert over_images.combine is not None, "a method makes the whole of a set in one way or the other"
        whole = over_images.combine(parts, pictures, request.params)
    if over_images.illustrate is not None:
        illustrations = over_images.illustrate(parts, request.params, album)
        whole = replace(whole, pictures=chain(illustrations, whole.pictures))
    return replace(whole, numbers={"images": count, "skipped": skipped} | whole.numbers)


def open_album(model: Model, request: Request, limits: ImageLimits) -> Album:
    """The pictures of the request's set, one at a time."""
    images = request.images
    assert images is not None, "an album is one of a set"
    return lambda index: see(model, images.read(index), limits).seen


def list_items(parts: Sequence[Answer]) -> list[dict[str, Any]]:
    """What each picture of a set came to, in order, for a method of one image."""
    return [item for part in parts for item in part.values["items"]]


def _only_list(parts: Sequence[Answer], _: Iterable[tuple[str, Pixels]], __: Any) -> Whole:
    return Whole((), {"items": list_items(parts)})


# What a method of one image makes of a set where it says nothing else.
PICTURE_BY_PICTURE: Final = OverImages[Any](combine=_only_list)


def _compute_together(work: Slice) -> Result:
    """A method that takes all pictures of the slice itself."""
    started = perf_counter()
    method, params = work.request.method, work.request.params
    context = Context(work.items, work.model.preprocessing, work.report)
    found = method.compute(work.model.probe, decode_batches(work), params, context)
    assert isinstance(found, Numbers), "a method that consumes images returns Numbers"
    count = len(work.items) - len(work.skipped)
    values = found.numbers | {"images": count, "skipped": work.skipped}
    return _make_result(work, found.layer, [], values, perf_counter() - started)


def _compute_each(work: Slice) -> Result:
    """A method of one image, for a batch of them at a time."""
    started = perf_counter()
    if work.request.method.lays_maps:
        work = replace(work, annotations=Annotations(work.images))
    images: list[ResultImage] = []
    items: list[dict[str, Any]] = []
    layer: str | None = None
    for member, outcome in _go_through(work):
        if isinstance(outcome, ConvscopeError):
            work.skip(member, outcome)
            continue
        layer = layer or outcome.layer
        images += outcome.images
        items.append(_describe(member, outcome))
    values = {"images": len(items), "skipped": work.skipped, "items": items}
    return _make_result(work, layer, images, values, perf_counter() - started)


def _go_through(work: Slice) -> Iterator[tuple[Member, Result | ConvscopeError]]:
    """Two batches are under way: one is decoded or drawn while the other is computed."""
    members, turn, done = work.members, Lock(), 0
    parties = [members[start : start + BATCH] for start in range(0, len(members), BATCH)]
    with ThreadPoolExecutor(2 * BATCH, thread_name_prefix="set") as threads:
        outcomes = [_begin(threads, work, party, turn) for party in parties[:2]]
        for number, party in enumerate(parties):
            yield from zip(party, outcomes[number], strict=True)
            done += len(party)
            if number + 2 < len(parties):
                outcomes.append(_begin(threads, work, parties[number + 2], turn))
            work.report(done / len(members))


def _begin(
    threads: ThreadPoolExecutor, work: Slice, party: Sequence[Member], turn: Lock
) -> Iterator[Result | ConvscopeError]:
    """Each picture on a thread of its own; what they ask of the network is asked once."""
    lockstep = Lockstep(len(party), turn)

    def go(place: int, member: Member) -> Result | ConvscopeError:
        probe = work.model.probe
        if isinstance(probe, BatchProbe):
            probe = BatchingProbe(probe, lockstep.seat(place), work.model.name)
        try:
            return _compute_one(replace(work, model=replace(work.model, probe=probe)), member, lockstep)
        except ConvscopeError as error:
            return error

    # All are begun here; whoever iterates waits for them.
    return threads.map(go, range(len(party)), party)


def _compute_one(work: Slice, member: Member, lockstep: Lockstep) -> Result:
    method, params = work.request.method, work.request.params
    try:
        alone = replace(work.request, image=work.images.read(member.index), images=None, first_picture_only=True)
        observation = observe(work.model, alone, work.limits)
    finally:
        lockstep.leave()
    result = present(work.model, alone, observation)
    note = None if method.over_images is None else method.over_images.note
    noted = {} if note is None else note(observation.visual, params)
    judged = _judge(work.model, member, result)
    if work.annotations is not None:
        judged["object"] = _localise(work, member, observation, judged["truth"])
    # One name for each picture of the set: what a single image calls `overlay` is called by the picture it is of.
    named = [image.model_copy(update={"name": member.stem}) for image in result.images]
    return result.model_copy(update={"images": named, "values": result.values | judged | noted})


def _judge(model: Model, member: Member, result: Result) -> dict[str, Any]:
    """What the picture shows by its folder's name, and whether the model's best answer is that."""
    classes = model.anatomy.classes
    if not result.predictions or member.label is None or classes is None:
        return {"truth": None, "right": None}
    index = find_class(member.label, model.labels, classes)
    if index is None:
        return {"truth": None, "right": None}
    return {"truth": {"index": index, "label": model.label(index)}, "right": result.predictions[0].index == index}


def _localise(
    work: Slice, member: Member, observation: Observation, truth: dict[str, Any] | None
) -> dict[str, Any] | None:
    """How much of the map lies in the object of its class, or else of the picture's; None where none is marked."""
    heatmap, photo = observation.visual, observation.photo
    assert isinstance(heatmap, Heatmap), "a method with a heat map's parameters returns one"
    assert photo is not None, "a heat map lies over a picture"
    assert work.annotations is not None, "there are annotations, if only none"
    names = [work.model.label(heatmap.target.index), *([truth["label"]] if truth else [])]
    height, width = photo.picture.shape[:2]
    marked = work.annotations.find(member, (height, width), names, work.limits)
    return None if marked is None else {"file": marked.file} | localise(heatmap.values, marked.mask)


def _describe(member: Member, result: Result) -> dict[str, Any]:
    return {
        "index": member.index,
        "name": member.name,
        "label": member.label,
        "picture": result.images[0].name if result.images else None,
        "target": None if result.target is None else result.target.model_dump(),
        "predictions": [prediction.model_dump() for prediction in result.predictions],
        **result.values,
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
