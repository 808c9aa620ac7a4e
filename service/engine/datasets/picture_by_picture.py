"""A method of one image over a slice of a dataset: some pictures are drawn while others are in the network."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, Final

from schemas.results import ResultImage
from schemas.values.datasets import ClassName, PictureItem
from service.engine.annotations.ground_truth import find_class
from service.engine.arrays import Array
from service.engine.batching import BatchingProbe
from service.engine.datasets.batch_barrier import BatchBarrier
from service.engine.datasets.batches import BATCH, Slice
from service.engine.datasets.pipelining import PASSES, ahead
from service.engine.drawing.visuals import Visual
from service.engine.images.archive import Member
from service.engine.images.photo import Photo
from service.engine.kinds.picture_items import Item, NotedPicture, OverImages
from service.engine.model import Model
from service.engine.ports.probe import BatchProbe
from service.engine.running.request import Request, as_it_is
from service.engine.running.run import Finding, find, look
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


@dataclass(frozen=True)
class Outcome:
    """What one picture came to, and its drawings."""

    item: Item[Any, Any]
    layer: str | None
    images: list[ResultImage]


def find_each(work: Slice, over_images: OverImages[Any]) -> Iterator[tuple[Member, Outcome | ConvscopeError]]:
    """What each picture came to, in order; each batch that is finished is reported."""
    members = work.members
    with (
        ThreadPoolExecutor(_HANDS, thread_name_prefix="hand") as hands,
        ThreadPoolExecutor(PASSES * BATCH, thread_name_prefix="group") as participants,
    ):
        pictures = ahead(hands, partial(_decode, work), members, _HANDS)
        seen = _look_at_all(participants, work, pictures)
        outcomes = ahead(hands, partial(_find, work, over_images), zip(members, seen, strict=True), BATCH)
        for place, (member, outcome) in enumerate(zip(members, outcomes, strict=True)):
            if place and place % BATCH == 0:
                work.report(place / len(members))
            yield member, outcome


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


def _find(
    work: Slice, over_images: OverImages[Any], item: tuple[Member, _Seen | ConvscopeError]
) -> Outcome | ConvscopeError:
    member, seen = item
    if isinstance(seen, ConvscopeError):
        return seen
    try:
        # Written in order, under the name that it has in the dataset: not here.
        own = replace(work.request, first_picture_only=True, write=as_it_is)
        finding = find(work.model, own, seen.visual, seen.photo)
        # One name for each picture of the dataset: what a single image calls `overlay` is called by the picture.
        images = [image.model_copy(update={"name": member.stem}) for image in finding.images]
        facts = _describe(work.model, member, finding, images)
        noted = NotedPicture(member, facts, seen.photo, work.annotations, work.limits)
        note = None if over_images.note is None else over_images.note(seen.visual, noted)
    except ConvscopeError as error:
        return error
    work.keep(member, seen.visual)
    return Outcome(Item[Any, Any](facts=facts, values=finding.values, note=note), finding.layer, images)


def _describe(model: Model, member: Member, finding: Finding, images: Sequence[ResultImage]) -> PictureItem:
    """What the picture is, what was said of it, and whether that is what its folder's name says."""
    shown = _find_class(model, member, finding)
    return PictureItem(
        index=member.index,
        name=member.name,
        label=member.label,
        picture=images[0].name if images else None,
        target=finding.target,
        predictions=finding.predictions,
        ground_truth=None if shown is None else ClassName(index=shown, label=model.label(shown)),
        right=None if shown is None else finding.predictions[0].index == shown,
    )


def _find_class(model: Model, member: Member, finding: Finding) -> int | None:
    """The class that the picture shows by its folder's name; None where that says nothing."""
    classes = model.network_info.classes
    if not finding.predictions or member.label is None or classes is None:
        return None
    return find_class(member.label, model.labels, classes)
