"""A method is a value: a name, its parameters, what it answers with, and a function over a Probe. Four kinds there are.

Of one image, of the network alone, over items such as filters or masks, and over a dataset. A method of one image goes
over a dataset as well, picture by picture. What is the same for all kinds is in `Method`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from schemas.methods import Consumes, MethodDescription, MethodKind, MethodParams
from schemas.rendering import HeatmapRendering
from schemas.values.base import Values
from schemas.values.versions import versions_of
from service.engine.arrays import Array
from service.engine.drawing.visuals import Numbers, Scatter, Visual
from service.engine.kinds.context import Batch, Context, Reduction, Summary
from service.engine.kinds.packing import Chunk
from service.engine.kinds.picture_items import OverImages, list_pictures
from service.engine.ports.network_info import NetworkInfo
from service.engine.ports.probe import Probe

# PEP 695 generics need Python 3.12; 3.11 is supported.
P = TypeVar("P", bound=MethodParams)
C = TypeVar("C", bound=Chunk)
V = TypeVar("V", bound=Values)


@dataclass(frozen=True, kw_only=True)
class Method(Generic[P]):
    """What all kinds have. `refuse` says why a network cannot be asked, or None.

    `values` are the models of its numbers: of one picture, of the network, or of the whole; several where parameters
    decide. `check(probe, params)` raises, without computing, where parameters and network do not go together, so that a
    job is refused when it is sent. `compared` says in words by which arrays two versions are compared.
    """

    name: str
    title: str
    description: str
    params: type[P]
    values: tuple[type[Values], ...]
    refuse: Callable[[NetworkInfo], str | None]
    check: Callable[[Probe, P], None] | None = None
    makes_pictures: bool = True
    compared: str | None = None

    @property
    def kind(self) -> MethodKind:
        """Whether it answers at once, or with a job."""
        raise NotImplementedError

    @property
    def consumes(self) -> Consumes:
        """What a request sends beside the parameters."""
        raise NotImplementedError

    @property
    def whole_values(self) -> tuple[type[Values], ...]:
        """All that `values` of one version may be, that of a dataset among them."""
        return self.values

    @property
    def value_models(self) -> tuple[type[Values], ...]:
        """All that `values` of a job's result may be: of one version, or of several."""
        return (*self.whole_values, versions_of(*self.whole_values))

    @property
    def lays_maps(self) -> bool:
        """True for a method that returns a Heatmap, whose parameters say how that is drawn."""
        return issubclass(self.params, HeatmapRendering)

    def describe(self) -> MethodDescription:
        """As `GET /v1/methods` has it."""
        return MethodDescription(
            name=self.name,
            title=self.title,
            kind=self.kind,
            consumes=self.consumes,
            parameters=self.params.model_json_schema(),
            values=TypeAdapter(reduce(or_, self.whole_values)).json_schema(mode="serialization"),
        )


@dataclass(frozen=True, kw_only=True)
class ImageMethod(Method[P]):
    """`compute(probe, image, params, context)` looks at one picture, (h, w, c) float32 in the network's units.

    `over_images` says what is made of a dataset beside its pictures one by one. One that `takes_long` is a job.
    """

    compute: Callable[[Probe, Array, P, Context], Visual]
    over_images: OverImages[P] | None = None
    takes_long: bool = False

    @property
    def kind(self) -> MethodKind:
        return "job" if self.takes_long else "interactive"

    @property
    def consumes(self) -> Consumes:
        return "image"

    @property
    def over_dataset(self) -> OverImages[P]:
        """How it goes over a dataset."""
        return self.over_images or list_pictures(*self.values)

    @property
    def whole_values(self) -> tuple[type[Values], ...]:
        return (*self.values, self.over_dataset.values)


@dataclass(frozen=True, kw_only=True)
class NetworkMethod(Method[P]):
    """`compute(probe, params, context)` looks at the network alone."""

    compute: Callable[[Probe, P, Context], Visual]

    @property
    def kind(self) -> MethodKind:
        return "interactive"

    @property
    def consumes(self) -> Consumes:
        return "none"


@dataclass(frozen=True, kw_only=True)
class ItemsMethod(Method[P], Generic[P, C]):
    """A job that goes through items, such as the filters of a layer or masks over a picture; a chunk is some of them.

    `cut(probe, params, max_bytes)` gives the chunks, each to be computed within so much memory, from the network and
    the parameters, never from who computes them. It raises a ConvscopeError where they do not go together.
    `compute(probe, image, params, context)` looks at the items of the context; the visual's numbers are the `chunk`.
    `image` is None where the method `looks_at` the network alone. `reduce(chunks, reduction, params)` makes one answer
    of all chunks, in the order of the items.
    """

    unit: str
    chunk: type[C]
    cut: Callable[[Probe, P, int], list[list[int]]]
    compute: Callable[[Probe, Array | None, P, Context], Visual]
    reduce: Callable[[Sequence[C], Reduction, P], Summary]
    looks_at: Consumes = "none"

    @property
    def kind(self) -> MethodKind:
        return "job"

    @property
    def consumes(self) -> Consumes:
        return self.looks_at


@dataclass(frozen=True, kw_only=True)
class DatasetMethod(Method[P], Generic[P, C]):
    """A job over a dataset, `slice` pictures in a chunk; it is asked about batches of them, and reports by itself.

    `compute(probe, batches, params, context)` goes once through the batches, and hands a `chunk` to `reduce`, which
    makes one answer of all of them: `reduce(chunks, reduction, params)`. `over_versions` draws the values of several
    versions, by their names, as curves over time, and `plane` those of one as points, so that several have one frame.
    `own_scale` says that each version is drawn on a scale of its own.
    """

    chunk: type[C]
    compute: Callable[[Probe, Iterator[Batch], P, Context], Numbers[C]]
    reduce: Callable[[Sequence[C], Reduction, P], Summary]
    slice: int = 32
    over_versions: Callable[[Sequence[tuple[str, Any]]], Scatter] | None = None
    plane: Callable[[Any], Scatter] | None = None
    own_scale: bool = False

    @property
    def kind(self) -> MethodKind:
        return "job"

    @property
    def consumes(self) -> Consumes:
        return "images"


AnyMethod = Method[Any]
