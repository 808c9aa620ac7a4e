"""A method is a value: a name, its parameters and a function over a Probe."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from schemas.methods import Consumes, MethodDescription, MethodKind, MethodParams
from schemas.rendering import HeatmapRendering
from schemas.results import Answer
from service.engine.arrays import Array, Pixels
from service.engine.correlation import Arrays
from service.engine.drawing.visuals import Scatter, Visual, WholePicture
from service.engine.images.archive import Member
from service.engine.images.preprocessing import Preprocessing
from service.engine.ports.network_info import NetworkInfo
from service.engine.ports.probe import Probe

# PEP 695 generics need Python 3.12; 3.11 is supported.
P = TypeVar("P", bound=MethodParams)


@dataclass(frozen=True)
class Context:
    """What a method with an axis is told beside its parameters.

    `items` are those of this chunk. `report(fraction)` is called at least once a second with the share of the chunk
    that is done, 0…1; it raises where the work is to be given up, which a method lets pass. `members` are all pictures
    of the dataset, where the method consumes one.
    """

    items: Sequence[int]
    preprocessing: Preprocessing
    report: Callable[[float], None]
    members: Sequence[Member] = ()


@dataclass(frozen=True)
class Whole:
    """What is made of the finished items together: more pictures, to be shown first, and the numbers of them all.

    `pictures`, pixels by name or visuals to be drawn, are read once and encoded one by one: a
    generator keeps only one of them in memory. `arrays` are what versions are compared by; they are not kept.
    """

    pictures: Iterable[WholePicture]
    numbers: dict[str, Any]
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Axis(Generic[P]):
    """What a job goes through item by item, such as the filters of a layer; a chunk is a slice of it.

    `cut(probe, params, max_bytes)` gives the chunks, each to be computed within so much memory, from the network and
    the parameters, never from who computes them. It raises a ConvscopeError where they do not go together.
    `combine(parts, pictures, params)` makes the whole of all chunks' answers and of their pictures, name and pixels
    ((h, w) or (h, w, 3) uint8 RGB) in the order of the items.
    """

    unit: str
    cut: Callable[[Probe, P, int], list[list[int]]]
    combine: Callable[[Sequence[Answer], Iterable[tuple[str, Pixels]], P], Whole]


@dataclass(frozen=True)
class Batch:
    """Pictures of a dataset that are of one size: `inputs` (n, h, w, c) float32 in the network's units."""

    members: tuple[Member, ...]
    inputs: Array


# A picture of the dataset by its index, as the network saw it: (h, w, 1 or 3) uint8 RGB. Decodes it at each call.
Album = Callable[[int], Pixels]


@dataclass(frozen=True)
class OverImages(Generic[P]):
    """How a method goes through a dataset, `slice` of them in a chunk.

    `note(visual, params)` gives numbers of one picture to be kept beside its own, for a method of one image. `combine`
    is as that of an Axis; `conclude(probe, parts, params)` stands in its place where the whole asks the network again.
    `illustrate(parts, params, album)` gives pictures of the whole that show some of the dataset's own; they come first.
    """

    combine: Callable[[Sequence[Answer], Iterable[tuple[str, Pixels]], P], Whole] | None = None
    note: Callable[[Visual, P], dict[str, Any]] | None = None
    illustrate: Callable[[Sequence[Answer], P, Album], Iterable[WholePicture]] | None = None
    conclude: Callable[[Probe, Sequence[Answer], P], Whole] | None = None
    slice: int = 32


@dataclass(frozen=True)
class Compared:
    """What of two versions is held against each other: `array` in words, for people, and where it is found.

    Arrays before anything is drawn of them, by name: `of_visual` finds those of a picture, or of a chunk, in what the
    method saw; without it they are the whole's own. Where a layer is an array's name, it is found by its place.
    """

    array: str
    of_visual: Callable[[Any], Arrays] | None = None


@dataclass(frozen=True)
class Method(Generic[P]):
    """`compute(probe, image, params)` computes one item; `refuse` says why a network cannot be asked, or None.

    `image` is (h, w, c) float32 in the network's units, or None for a method that consumes none. One that consumes
    images takes an iterator of Batch in its place, and goes through it once; it reports by itself. With an `axis`, or
    images, a fourth argument, a Context, says which items to compute. `check(probe, params)` raises, without computing,
    where parameters and network do not go together, so that a job is refused when it is sent; `axis.cut` does as well.

    `compared` states by what versions are compared. `over_versions(values)` draws the numbers of several versions, by
    their names, as curves over time. `plane(values)` draws those of one as points, so that several have one frame.
    `own_scale` says that over a dataset each version is drawn on a scale of its own.
    """

    name: str
    title: str
    description: str
    kind: MethodKind
    consumes: Consumes
    params: type[P]
    compute: Callable[..., Visual]
    refuse: Callable[[NetworkInfo], str | None]
    makes_pictures: bool = True
    axis: Axis[P] | None = None
    check: Callable[[Probe, P], None] | None = None
    over_images: OverImages[P] | None = None
    compared: Compared | None = None
    over_versions: Callable[[Sequence[tuple[str, dict[str, Any]]]], Scatter] | None = None
    plane: Callable[[dict[str, Any]], Scatter] | None = None
    own_scale: bool = False

    @property
    def lays_maps(self) -> bool:
        """True for a method that returns a Heatmap, whose parameters say how that is drawn."""
        return issubclass(self.params, HeatmapRendering)

    def describe(self) -> MethodDescription:
        return MethodDescription(
            name=self.name,
            title=self.title,
            kind=self.kind,
            consumes=self.consumes,
            parameters=self.params.model_json_schema(),
        )


AnyMethod = Method[Any]


def refuse_without_image(network_info: NetworkInfo) -> str | None:
    """For methods that send a picture through the network."""
    if network_info.input_shape is not None:
        return None
    if len(network_info.inputs) > 1:
        shapes = list_shapes(network_info.inputs)
        return f"{len(network_info.inputs)} inputs go into this network ({shapes}), not one picture alone"
    found = f"{list_shapes(network_info.inputs)}, not " if network_info.inputs else "not "
    return f"no picture goes into this network: its input is {found}(height, width, 1 or 3 channels)"


def list_shapes(shapes: tuple[tuple[int | None, ...], ...]) -> str:
    """Shapes for a sentence; an open size is `any`."""
    return ", ".join(f"({', '.join(str(size or 'any') for size in shape)})" for shape in shapes)


def refuse_without_kernel(network_info: NetworkInfo) -> str | None:
    """For methods that look at what filters make of a picture."""
    if reason := refuse_without_image(network_info):
        return reason
    if not any(layer.kernel_shape is not None for layer in network_info.layers):
        return "no layer of this network has a kernel"
    return None


def refuse_without_classes(network_info: NetworkInfo) -> str | None:
    """For methods that ask about a class."""
    if reason := refuse_without_image(network_info):
        return reason
    if network_info.classes is not None:
        return None
    if len(network_info.outputs) > 1:
        shapes = list_shapes(network_info.outputs)
        return f"this network has {len(network_info.outputs)} outputs ({shapes}), not one vector of scores"
    return f"this network has no class scores (its task is '{network_info.task}')"


def refuse_without_spatial_layer(network_info: NetworkInfo) -> str | None:
    """For methods that lay a map over the picture."""
    if reason := refuse_without_classes(network_info):
        return reason
    if not any(layer.is_map for layer in network_info.layers):
        return "no layer of this network has spatial axes that are the picture's"
    return None


def refuse_without_latent(network_info: NetworkInfo) -> str | None:
    """For methods about autoencoders."""
    if reason := refuse_without_image(network_info):
        return reason
    if network_info.latent is None:
        return f"this network is no autoencoder: {network_info.no_latent or 'it has no latent'}"
    return None
