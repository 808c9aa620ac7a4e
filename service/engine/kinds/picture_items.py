"""How a method of one image goes over a dataset: what is kept of each picture, and what is made of them together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Generic, TypeVar, Union

from pydantic import Field, create_model

from schemas.values.base import Values
from schemas.values.datasets import BrightenedPicture, DatasetValues, PictureItem, PicturesOverDataset, Skipped
from service.engine.annotations.reading import Annotations
from service.engine.drawing.visuals import Visual
from service.engine.images.archive import Member
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import Photo
from service.engine.kinds.context import Reduction, Summary
from service.engine.kinds.packing import Chunk

P = TypeVar("P")
C = TypeVar("C", bound=Chunk)
V = TypeVar("V", bound=Values)
N = TypeVar("N", bound=Chunk)

SLICE: Final = 32


class Item(Chunk, Generic[V, N]):
    """What one picture came to: what is known of it, the method's own values, and what else is kept of it."""

    facts: PictureItem
    values: V
    note: N | None = None


class Items(Chunk, Generic[V, N]):
    """What the pictures of a slice came to, in their order."""

    items: list[Item[V, N]]


class SliceChunk(Chunk, Generic[C]):
    """A slice of a dataset: how many of its pictures were used, which were not, and what the method found."""

    images: int
    skipped: list[Skipped]
    sample_ranges: list[BrightenedPicture]
    layer: str | None
    found: C


class NoNote(Chunk):
    """Nothing is kept beside the values."""


@dataclass(frozen=True)
class NotedPicture:
    """A picture of a dataset about which a method may keep something more."""

    member: Member
    facts: PictureItem
    photo: Photo
    annotations: Annotations | None
    limits: ImageLimits


@dataclass(frozen=True, kw_only=True)
class OverImages(Generic[P]):
    """`reduce(items, reduction, params)` makes one answer of all pictures, as `values`; a `chunk` has some of them.

    `note(visual, picture)` is kept of each picture until then, `slice` pictures in a chunk. `annotated` says that the
    dataset's annotations are read for that, `own_scale` that each version is drawn on a scale of its own.
    """

    values: type[DatasetValues]
    chunk: type[Items[Any, Any]]
    reduce: Callable[[Sequence[Item[Any, Any]], Reduction, P], Summary]
    note: Callable[[Visual, NotedPicture], Chunk] | None = None
    annotated: bool = False
    own_scale: bool = False
    slice: int = SLICE


def flatten(item: Item[Any, Any]) -> dict[str, object]:
    """An item as results list it: what is known of the picture, and the method's values beside it."""
    return {**item.facts.model_dump(), **item.values.model_dump()}


def _stem(values: type[Values]) -> str:
    return values.__name__.removesuffix("Values")


@cache
def list_pictures(*values: type[Values]) -> OverImages[Any]:
    """For methods that say of a dataset what they say of each picture, and nothing of it as a whole."""
    entries = tuple(create_model(f"{_stem(each)}OfPicture", __base__=(PictureItem, each)) for each in values)
    item: Any = Union[entries]  # noqa: UP007 - of a tuple
    whole = create_model(
        f"{_stem(values[0])}OverDataset",
        __base__=PicturesOverDataset,
        __doc__="Every picture by itself.",
        items=(list[item], Field(description="Every picture that was used.")),
    )
    own: Any = Union[values]  # noqa: UP007

    def reduce(items: Sequence[Item[Any, Any]], _: Reduction, __: Any) -> Summary:
        return Summary((), whole.model_validate({"items": list(map(flatten, items))}))

    return OverImages(values=whole, chunk=Items[own, NoNote], reduce=reduce)
