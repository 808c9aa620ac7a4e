"""A method of one image over a slice of a set: some pictures are decoded and drawn while others are in the network."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Final

from service.engine.batching import BatchingProbe
from service.engine.model import Model
from service.engine.probe import BatchProbe
from service.engine.run import Finding, Observation, Photo, find, look, see
from service.engine.sets.batches import BATCH, Slice, ahead
from service.engine.sets.image_set import Member
from service.engine.sets.localisation import localise
from service.engine.sets.lockstep import Lockstep
from service.engine.sets.truth import find_class
from service.engine.visuals import Heatmap
from service.errors import ConvscopeError

# Threads that decode and draw. More than there are cores would cost more in taking turns than they bring.
_HANDS: Final = max(2, min(BATCH, os.cpu_count() or 1))


def find_each(work: Slice) -> Iterator[tuple[Member, Finding | ConvscopeError]]:
    """What each picture came to, in order."""
    members, drawing = work.members, list[tuple[Member, Future[Finding | ConvscopeError]]]()
    with (
        ThreadPoolExecutor(_HANDS, thread_name_prefix="hand") as hands,
        ThreadPoolExecutor(BATCH, thread_name_prefix="party") as party,
    ):
        photos = ahead(hands, partial(_decode, work), members)
        for start in range(0, len(members), BATCH):
            observed = _look_together(party, work, list(islice(photos, BATCH)))
            drawn = drawing
            drawing = [
                (member, hands.submit(_find, work, member, observation))
                for member, observation in zip(members[start : start + BATCH], observed, strict=True)
            ]
            yield from ((member, finding.result()) for member, finding in drawn)
            work.report(min(1.0, (start + BATCH) / len(members)))
        yield from ((member, finding.result()) for member, finding in drawing)


def _decode(work: Slice, member: Member) -> Photo | ConvscopeError:
    try:
        return see(work.model, work.images.read(member.index), work.limits)
    except ConvscopeError as error:
        return error


def _look_together(
    party: ThreadPoolExecutor, work: Slice, photos: Sequence[Photo | ConvscopeError]
) -> list[Observation | ConvscopeError]:
    """Each picture on a thread of its own; what they ask of the network is asked once."""
    lockstep = Lockstep(len(photos))

    def go(place: int, photo: Photo | ConvscopeError) -> Observation | ConvscopeError:
        try:
            if isinstance(photo, ConvscopeError):
                return photo
            probe = work.model.probe
            if isinstance(probe, BatchProbe):
                probe = BatchingProbe(probe, lockstep.seat(place), work.model.name)
            return look(replace(work.model, probe=probe), work.request, photo)
        except ConvscopeError as error:
            return error
        finally:
            lockstep.leave()

    return list(party.map(go, range(len(photos)), photos))


def _find(work: Slice, member: Member, observation: Observation | ConvscopeError) -> Finding | ConvscopeError:
    if isinstance(observation, ConvscopeError):
        return observation
    method, params = work.request.method, work.request.params
    try:
        finding = find(work.model, replace(work.request, first_picture_only=True), observation)
        note = None if method.over_images is None else method.over_images.note
        noted = {} if note is None else note(observation.visual, params)
        judged = _judge(work.model, member, finding)
        if work.annotations is not None:
            judged["object"] = _localise(work, member, observation, judged["truth"])
    except ConvscopeError as error:
        return error
    # One name for each picture of the set: what a single image calls `overlay` is called by the picture it is of.
    named = [image.model_copy(update={"name": member.stem}) for image in finding.images]
    return replace(finding, images=named, values=finding.values | judged | noted)


def _judge(model: Model, member: Member, finding: Finding) -> dict[str, Any]:
    """What the picture shows by its folder's name, and whether the model's best answer is that."""
    classes = model.anatomy.classes
    if not finding.predictions or member.label is None or classes is None:
        return {"truth": None, "right": None}
    index = find_class(member.label, model.labels, classes)
    if index is None:
        return {"truth": None, "right": None}
    return {"truth": {"index": index, "label": model.label(index)}, "right": finding.predictions[0].index == index}


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
