"""What methods and reducers are given beside their parameters, and what a reducer gives back. Knows no methods."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from schemas.values.base import Values
from service.engine.arrays import Array, Pixels
from service.engine.correlation import Arrays
from service.engine.drawing.visuals import Visual
from service.engine.images.archive import Member
from service.engine.images.preprocessing import Preprocessing
from service.engine.ports.probe import Probe


@dataclass(frozen=True)
class Context:
    """What every method is told.

    `report(fraction)` is called at least once a second with the share that is done, 0…1; it raises where the work is
    to be given up, which a method lets pass. `items` are those of this chunk, where there are any. `members` are all
    pictures of the dataset, where the method goes over one.
    """

    preprocessing: Preprocessing
    report: Callable[[float], None]
    items: Sequence[int] = ()
    members: Sequence[Member] = ()


@dataclass(frozen=True)
class Batch:
    """Pictures of a dataset that are of one size: `inputs` (n, h, w, c) float32 in the network's units."""

    members: tuple[Member, ...]
    inputs: Array


# A picture of the dataset by its index, as the network saw it: (h, w, 1 or 3) uint8 RGB. Decodes it at each call.
Album = Callable[[int], Pixels]


def no_album(index: int) -> Pixels:
    """Where there is no dataset."""
    raise LookupError(index)


@dataclass(frozen=True)
class Reduction:
    """What a reducer may ask for, beside what the chunks came to.

    `image` is the request's picture (h, w, c) float32 in the network's units, where there is one. `layer` is the one
    that the chunks are about, where it is one. `pictures` are those that the chunks have drawn, by name, as (h, w) or
    (h, w, 3) uint8 RGB in the order of the items, read one by one as they are needed. `album` has the dataset's.
    """

    probe: Probe
    preprocessing: Preprocessing
    report: Callable[[float], None]
    layer: str | None = None
    image: Array | None = None
    pictures: Iterable[tuple[str, Pixels]] = ()
    album: Album = no_album


@dataclass(frozen=True)
class Summary:
    """What is made of the finished chunks together: more pictures, to be shown first, and the numbers of them all.

    `visuals` are read once, and drawn and encoded one by one: a generator keeps only one of them in memory. `arrays`
    are what versions are compared by; they are not kept. Without `values` they are the first visual's.
    """

    visuals: Iterable[Visual]
    values: Values | None = None
    arrays: Arrays = field(default_factory=dict)
