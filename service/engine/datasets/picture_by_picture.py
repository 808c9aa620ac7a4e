"""A method of one image over a slice of a dataset: some pictures are drawn while others are in the network."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Final

from service.engine.arrays import Array
from service.engine.batching import BatchingProbe
from service.engine.datasets.annotations.ground_truth import find_class
from service.engine.datasets.annotations.localisation import localise
from service.engine.datasets.batch_barrier import BatchBarrier
from service.engine.datasets.batches import BATCH, Slice
from service.engine.datasets.pipelining import PASSES, ahead
from service.engine.drawing.map_over_picture import lay_over_picture
from service.engine.drawing.visuals import Heatmap, Visual
from service.engine.images.archive import Member
from service.engine.model import Model
from service.engine.photo import Photo
from service.engine.ports.probe import BatchProbe
from service.engine.run import Finding, Request, find, look
from service.errors import ConvscopeError

# Threads that decode and draw. More than there are cores would cost more in taking turns than they bring.
_HANDS: Final = max(2, min(8, os.cpu_count() or 1))


@dataclass(frozen=True)
class _Picture:
    """One of the dataset, decoded, and in the network's units: (h, w, c) float32; and what is asked of it."""

    photo: Photo
    network_input: Array
    request: Request


@dataclass(frozen=True)
class _Seen:
    """What the method saw in a picture."""

    photo: Photo
    visual: Visual


def find_each(work: Slice) -> Iterator[tuple[Member, Finding | ConvscopeError]]:
    """What each picture came to, in order; each batch that is finished is reported."""
    members = work.members
    with (
        ThreadPoolExecutor(_HANDS, thread_name_prefix="hand") as hands,
        ThreadPoolExecutor(PASSES * BATCH, thread_name_prefix="group") as participants,
    ):
        pictures = ahead(hands, partial(_decode, work), members, _HANDS)
        seen = _look_at_all(participants, work, pictures)
        findings = ahead(hands, partial(_find, work), zip(members, seen, strict=True), BATCH)
        for place, (member, finding) in enumerate(zip(members, findings, strict=True)):
            if place and place % BATCH == 0:
                work.report(place / len(members))
            yield member, finding


def _decode(work: Slice, member: Member) -> _Picture | ConvscopeError:
    try:
        photo = work.see(member)
    except ConvscopeError as error:
        return error
    return _Picture(photo, work.model.preprocessing.apply(photo.seen), work.request_for(member))


def _look_at_all(
    participants: ThreadPoolExecutor, work: Slice, pictures: Iterator[_Picture | ConvscopeError]
) -> Iterator[_Seen | ConvscopeError]:
    """In batches, some of them at once; which pictures share one depends on nothing but their order."""
    under_way: deque[Iterator[_Seen | ConvscopeError]] = deque()
    while group := list(islice(pictures, BATCH)):
        under_way.append(_look_together(participants, work, group))
        if len(under_way) == PASSES:
            yield from under_way.popleft()
    for looks in under_way:
        yield from looks


def _look_together(
    participants: ThreadPoolExecutor, work: Slice, pictures: Sequence[_Picture | ConvscopeError]
) -> Iterator[_Seen | ConvscopeError]:
    """Each picture on a thread of its own; what they ask of the network is asked once."""
    barrier = BatchBarrier(len(pictures))

    def go(place: int, picture: _Picture | ConvscopeError) -> _Seen | ConvscopeError:
        try:
            if isinstance(picture, ConvscopeError):
                return picture
            probe = work.model.probe
            if isinstance(probe, BatchProbe):
                probe = BatchingProbe(probe, barrier.participant(place), work.model.name)
            visual = look(replace(work.model, probe=probe), picture.request, picture.network_input)
            return _Seen(picture.photo, visual)
        except ConvscopeError as error:
            return error
        finally:
            barrier.leave()

    # All are begun here; whoever iterates waits for them.
    return participants.map(go, range(len(pictures)), pictures)


def _find(work: Slice, item: tuple[Member, _Seen | ConvscopeError]) -> Finding | ConvscopeError:
    member, seen = item
    if isinstance(seen, ConvscopeError):
        return seen
    method, params = work.request.method, work.request.params
    try:
        finding = find(work.model, replace(work.request, first_picture_only=True), seen.visual, seen.photo)
        note = None if method.over_images is None else method.over_images.note
        noted = {} if note is None else note(_lay_over_picture(seen), params)
        judged = _judge(work.model, member, finding)
        if work.annotations is not None:
            judged["object"] = _localise(work, member, seen, judged["ground_truth"])
            if crowds := work.annotations.count_crowds(member):
                judged["crowds_left_out"] = crowds
    except ConvscopeError as error:
        return error
    work.keep(member, seen.visual)
    # One name for each picture of the dataset: what a single image calls `overlay` is called by the picture it is of.
    named = [image.model_copy(update={"name": member.stem}) for image in finding.images]
    return replace(finding, images=named, values=finding.values | judged | noted)


def _lay_over_picture(seen: _Seen) -> Visual:
    """A heat map as it lies over the whole picture, whatever of that the network saw."""
    if not isinstance(seen.visual, Heatmap):
        return seen.visual
    return replace(seen.visual, values=lay_over_picture(seen.visual.values, seen.photo.framing))


def _judge(model: Model, member: Member, finding: Finding) -> dict[str, Any]:
    """What the picture shows by its folder's name, and whether the model's best answer is that."""
    classes = model.network_info.classes
    if not finding.predictions or member.label is None or classes is None:
        return {"ground_truth": None, "right": None}
    index = find_class(member.label, model.labels, classes)
    if index is None:
        return {"ground_truth": None, "right": None}
    return {
        "ground_truth": {"index": index, "label": model.label(index)},
        "right": finding.predictions[0].index == index,
    }


def _localise(work: Slice, member: Member, seen: _Seen, ground_truth: dict[str, Any] | None) -> dict[str, Any] | None:
    """How much of the map lies in the object of its class, or else of the picture's; None where none is marked."""
    heatmap = seen.visual
    assert isinstance(heatmap, Heatmap), "a method with a heat map's parameters returns one"
    assert work.annotations is not None, "there are annotations, if only none"
    names = [work.model.label(heatmap.target.index), *([ground_truth["label"]] if ground_truth else [])]
    height, width = seen.photo.picture.shape[:2]
    marked = work.annotations.find(member, (height, width), names, work.limits)
    return None if marked is None else {"file": marked.file} | localise(heatmap.values, marked.mask, seen.photo.framing)
