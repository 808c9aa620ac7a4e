"""The pictures of a slice of a dataset, decoded ahead and in batches; those that cannot be read are passed over."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from schemas.values.datasets import BrightenedPicture, Skipped
from service.engine.annotations.reading import Annotations
from service.engine.arrays import Array
from service.engine.datasets.pipelining import ahead
from service.engine.drawing.visuals import Visual
from service.engine.images.archive import Dataset, Member
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile, Photo
from service.engine.kinds.context import Batch
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.running.viewing import Decoding, describe_range, see
from service.errors import ConvscopeError

# Pictures that go through the network together.
BATCH: Final = 8
# Batches that are decoded while others are computed.
_AHEAD: Final = 2
_DECODERS: Final = 2


def _forget(_: Member | None, __: Visual) -> None:
    """Where nobody wants to know what was seen."""


@dataclass(frozen=True)
class Slice:
    """Some pictures of a request's dataset, and what became of them: `skipped` grows while they are gone through.

    So do `ranges`, of pictures that were drawn brighter as their range was found. `annotations` are those of the
    dataset, where the method makes maps that they can be held against. `classes` are to be explained where not each
    picture's best, by its index. `keep` is told what was seen in a picture, or in all of them together, on any thread.
    """

    model: Model
    request: Request
    items: Sequence[int]
    limits: ImageLimits
    report: Callable[[float], None]
    skipped: list[Skipped] = field(default_factory=list)
    ranges: list[BrightenedPicture] = field(default_factory=list)
    annotations: Annotations | None = None
    classes: Mapping[int, int] = field(default_factory=dict)
    keep: Callable[[Member | None, Visual], None] = _forget

    @property
    def images(self) -> Dataset:
        assert self.request.images is not None, "a slice is one of a dataset"
        return self.request.images

    @property
    def members(self) -> list[Member]:
        return [self.images.members[item] for item in self.items]

    def request_for(self, member: Member) -> Request:
        """What is asked of one picture."""
        if member.index not in self.classes:
            return self.request
        params = self.request.params.model_copy(update={"class_index": self.classes[member.index]})
        return replace(self.request, params=params)

    def see(self, member: Member) -> Photo:
        """Decode a picture, and fit it to the network, on any thread. Raises what `see` raises."""
        image = ImageFile(self.images.read(member.index, self.limits.max_bytes))
        photo = see(self.model, image, Decoding(self.limits, kept=self.request.kept))
        if photo.samples is not None and photo.samples.is_brightened:
            told = describe_range(photo.samples).model_dump()
            self.ranges.append(BrightenedPicture(index=member.index, name=member.name, **told))
        return photo

    def skip(self, member: Member, error: ConvscopeError) -> None:
        """Note that a picture cannot be used, and why."""
        self.skipped.append(Skipped(index=member.index, name=member.name, code=error.code, detail=error.detail))


def decode_batches(work: Slice) -> Iterator[Batch]:
    """Batches of pictures of one size, in order; when the next is taken, those before it are reported as done.

    That may be one too many for a moment, as the network has some of them at once.
    """

    def read(member: Member) -> Array | ConvscopeError:
        try:
            seen = work.see(member).seen
        except ConvscopeError as error:
            return error
        return work.model.preprocessing.apply(seen)

    waiting: list[tuple[Member, Array]] = []
    done = 0
    with ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode") as threads:
        for member, picture in zip(work.members, ahead(threads, read, work.members, BATCH * _AHEAD), strict=True):
            if isinstance(picture, ConvscopeError):
                work.skip(member, picture)
                continue
            if waiting and (len(waiting) == BATCH or waiting[0][1].shape != picture.shape):
                yield _pack(waiting)
                done += len(waiting)
                waiting = []
                work.report(done / len(work.items))
            waiting.append((member, picture))
    if waiting:
        yield _pack(waiting)


def _pack(pictures: Sequence[tuple[Member, Array]]) -> Batch:
    members, inputs = zip(*pictures, strict=True)
    return Batch(members, np.stack(inputs))
