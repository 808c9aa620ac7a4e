"""All that a method may ask of a network: the `Probe` protocol and the facts and answers that it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from service.engine.preprocessing import Preprocessing

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Task = Literal["classification", "binary", "regression", "autoencoder", "features"]
TargetKind = Literal["logit", "log_probability", "value"]


def is_spatial(shape: tuple[int | None, ...]) -> bool:
    """True for (batch, h, w, c) where h and w are not both 1; an open size (None) counts as spatial."""
    return len(shape) == 4 and shape[1:3] != (1, 1)


@dataclass(frozen=True)
class LayerFacts:
    """One call of one layer; a layer that is shared appears once, with the shape of its last call.

    Where the layer has a kernel, `response` is the path at which its filters' answer stands once it is normalised and
    activated, if layers of their own do that; else the layer's own.
    """

    path: str
    type: str
    output_shape: tuple[int | None, ...]
    kernel_shape: tuple[int, ...] | None
    bias_shape: tuple[int, ...] | None
    parameters: int
    response: str | None = None

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def is_spatial(self) -> bool:
        return is_spatial(self.output_shape)


@dataclass(frozen=True)
class Code:
    """Where an autoencoder holds all that it paints its picture from: the layer, its shape without the batch axis.

    `wired` are the layers whose units see the picture itself, so that a unit's weights are a picture too.
    """

    layer: str
    shape: tuple[int, ...]
    wired: tuple[str, ...] = ()

    @property
    def units(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Anatomy:
    """Facts about a network, read from its graph without running it.

    `input_shape` is (h, w, c) with None for an open size, or None where no picture goes in.
    `classes` counts the scores; None where the network gives no class scores. `logits` says in words where the numbers
    are that class heat maps differentiate. `other_layers` could have been the default layer as well. `code` is an
    autoencoder's; where there is none, `no_code` says why.
    """

    input_shape: tuple[int | None, int | None, int] | None
    task: Task
    classes: int | None
    target_kind: TargetKind | None
    default_layer: str | None
    logits: str | None
    layers: tuple[LayerFacts, ...]
    parameters: int
    trainable_parameters: int
    other_layers: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    code: Code | None = None
    no_code: str | None = None


@dataclass(frozen=True)
class Scores:
    """The model's own output for one image: (classes,) float32; a sigmoid(1) model gives two."""

    values: Array

    @property
    def top(self) -> int:
        return int(np.argmax(self.values))


@dataclass(frozen=True)
class Target:
    """The class that was asked for (or the best), its score, and the number that was differentiated."""

    index: int
    score: float
    kind: TargetKind
    value: float


@dataclass(frozen=True)
class LayerGradients:
    """Activations A and gradient of the target with respect to A at one layer, both (h, w, c) float32."""

    layer: str
    activations: Array
    gradients: Array
    target: Target
    scores: Scores


@dataclass(frozen=True)
class LayerActivations:
    """One layer's output for one image, without the batch axis: (h, w, c), (steps, c) or (units,) float32."""

    layer: str
    values: Array


@dataclass(frozen=True)
class LayerSurvey:
    """What the c channels of a layer answer to n images, over all positions of each: float32, (n, c) but for `sketch`.

    `positions` are those of one image, `zeros` the share of exact zeros. `sketch` (k, c) is the sum over images of
    `signs` (n, k, places) times the answers at as many positions, spread evenly: channels that answer alike have
    sketches alike, whatever the signs.
    """

    layer: str
    positions: int
    mean: Array
    greatest: Array
    least: Array
    zeros: Array
    sketch: Array


@dataclass(frozen=True)
class LayerResponses:
    """How strongly the c channels of a layer answer to n images: all (n, c), over the positions of each image.

    `shape` is that of one map without channels: (h, w), (steps,) or (). `place` int32 counts the positions row by row;
    it is that of the greatest answer, the first of several.
    """

    layer: str
    shape: tuple[int, ...]
    mean: Array
    greatest: Array
    place: NDArray[np.int32]


@dataclass(frozen=True)
class ReceptiveField:
    """What of the input one position of a layer can see, (down, across) in pixels.

    Position i of an axis sees `size` pixels from `first + i * stride` on; those may lie outside the input.
    """

    size: tuple[int, int]
    stride: tuple[float, float]
    first: tuple[float, float]


@dataclass(frozen=True)
class Kernel:
    """One kernel of a layer as (h, w, inputs, filters) float32, whatever the layer's own order of axes.

    A depthwise kernel has one input per filter, a dense one h = w = 1. `name` is Keras's.
    """

    layer: str
    name: str
    values: Array


@dataclass(frozen=True)
class LayerOnCanvas:
    """How a layer comes out where a canvas of some size goes in, and what that costs, for one image.

    `output_shape` is without the batch axis, its last axis the filters. `operations` are those of one forward pass in
    floating point, `values` the numbers that it leaves in memory.
    """

    layer: str
    output_shape: tuple[int, ...]
    operations: int
    values: int

    @property
    def filters(self) -> int:
        return self.output_shape[-1]


@dataclass(frozen=True)
class FilterMeans:
    """An objective: for image i the mean over space of what filter `filters[i]` of the layer answers."""

    layer: str
    filters: tuple[int, ...]


@dataclass(frozen=True)
class Canvas:
    """What is changed: `start` (n, h, w, c) float32, in 0…255 RGB or gray that `preprocessing` turns into an input.

    Without preprocessing the canvas is what enters the network.
    """

    start: Array
    preprocessing: Preprocessing | None


@dataclass(frozen=True)
class Schedule:
    """Steps of `step_size` along each image's gradient over its root mean square.

    With `keep_every` k the start, every k-th and the last canvas are kept.
    """

    steps: int
    step_size: float
    keep_every: int = 0


@dataclass(frozen=True)
class Ascent:
    """Gradient ascent on the input: what is to grow, on what, and how."""

    objective: FilterMeans
    canvas: Canvas
    schedule: Schedule


@dataclass(frozen=True)
class Ascended:
    """The last canvas (n, h, w, c), the objective there (n,), and the canvases kept (frames, n, h, w, c), all float32.

    `moved` (n,) is False for an image whose gradient was zero in every step. `batch` images were computed together at
    most; `narrow` where of the layer only the wanted filters were. `device` is CPU or GPU, `threads` those of one
    operation.
    """

    canvas: Array
    activations: Array
    moved: NDArray[np.bool_]
    frames: Array
    batch: int
    narrow: bool
    device: str
    threads: int


class Probe(Protocol):
    """A network that answers questions about one image at a time.

    `image` is always (h, w, c) float32, already preprocessed for the network. Implementations run the network in
    inference mode, never change it, and may be called from several threads at once.
    """

    @property
    def anatomy(self) -> Anatomy: ...

    def scores(self, image: Array) -> Scores: ...

    def activations(self, image: Array, layers: Sequence[str]) -> list[LayerActivations]:
        """The outputs of layers, in one forward pass, in the order asked.

        Layers are named by path, by name where only one layer has it, or by their index in `anatomy.layers`. Raises
        LayerNotFoundError.
        """
        ...

    def survey(self, images: Array, layers: Sequence[str], signs: Array) -> list[LayerSurvey]:
        """The answers of all channels of layers to (n, h, w, c), in one forward pass, in the order asked.

        Raises LayerNotFoundError.
        """
        ...

    def responses(self, images: Array, layer: str) -> LayerResponses:
        """The answers of all channels of a layer to (n, h, w, c). Raises LayerNotFoundError."""
        ...

    def receptive_field(self, layer: str) -> ReceptiveField | None:
        """None where the layer has no space, or the network does what is not known here. Raises LayerNotFoundError."""
        ...

    def layer(self, reference: str) -> LayerFacts:
        """The layer that a path, a unique name or an index means. Raises LayerNotFoundError."""
        ...

    def kernels(self, layer: str) -> list[Kernel]:
        """The layer's kernels: one, or two for a separable convolution. Raises LayerWithoutKernelError."""
        ...

    def activations_and_gradients(
        self, image: Array, *, layer: str | None = None, class_index: int | None = None
    ) -> LayerGradients:
        """Differentiate the target with respect to a layer that has spatial axes.

        `layer` None takes the default layer, `class_index` None the best class. Raises LayerNotFoundError,
        LayerNotSpatialError, LayerNotConnectedError or ClassOutOfRangeError.
        """
        ...

    def encode(self, images: Array) -> Array:
        """An autoencoder's codes of (n, h, w, c), flattened: (n, units). Raises MethodUnavailableError."""
        ...

    def decode(self, codes: Array) -> Array:
        """What an autoencoder paints from codes (n, units): (n, h, w, c). Raises MethodUnavailableError."""
        ...

    def unit_gradients(self, images: Array, layer: str, units: Sequence[int]) -> Array:
        """The mean over (n, h, w, c) of the gradients of k of a layer's units: (k, h, w, c).

        Units are counted over the layer's output, flattened. Raises LayerNotFoundError.
        """
        ...

    def require_target(self, *, layer: str | None, class_index: int | None) -> None:
        """Raise what `activations_and_gradients` would, as far as it can be known without computing."""
        ...

    def layer_on_canvas(self, layer: str, size: tuple[int, int]) -> LayerOnCanvas:
        """How a layer comes out of a canvas of (h, w), whatever size the network was made for; runs nothing.

        Raises LayerNotFoundError, LayerWithoutFilterError or SizeUnsuitableError.
        """
        ...

    def ascend(self, ascent: Ascent, report: Callable[[float], None]) -> Ascended:
        """Climb. Images do not influence each other.

        `report(fraction)` is called several times a second, as far as single steps are quick enough, and may raise.
        Where memory does not suffice, fewer images are computed together. Raises what `layer_on_canvas` raises, or
        ComputationFailedError.
        """
        ...


@runtime_checkable
class BatchProbe(Probe, Protocol):
    """A Probe that answers for several images of one shape at once, in the order given."""

    def scores_of(self, images: Sequence[Array]) -> list[Scores]: ...

    def gradients_of(
        self, images: Sequence[Array], classes: Sequence[int | None], *, layer: str | None = None
    ) -> list[LayerGradients]:
        """See `activations_and_gradients`; each image has a class of its own."""
        ...
