"""All that a method may ask of a network: the `Probe` protocol and the facts and answers that it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from service.engine.arrays import Array
from service.engine.ports.ascent import Ascended, Ascent
from service.engine.ports.network_info import LayerInfo, NetworkInfo, TargetKind


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
class ChannelStatistics:
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
class UnitActivations:
    """How strongly the c channels of a layer answer to n images: all (n, c), over the positions of each image.

    `shape` is that of one map without channels: (h, w), (steps,) or (). `place` int32 counts the positions row by row;
    it is that of the greatest answer, the first of several.
    """

    layer: str
    shape: tuple[int, ...]
    mean: Array
    greatest: Array
    place: NDArray[np.int32]


# Top, left, bottom, right, in pixels; the last two are the first that lie outside.
Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """What of the picture each position of a layer's map can see, in pixels: arrays that broadcast to (h, w).

    A box may reach beyond the picture, where the network puts zeros around it; it is empty for a position that sees
    nothing.
    """

    top: NDArray[np.int64]
    bottom: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]

    def at(self, row: int, column: int) -> Box | None:
        """The box of one position; None where it sees nothing."""
        shape = np.broadcast_shapes(*(edge.shape for edge in (self.top, self.bottom, self.left, self.right)))
        edges = (np.broadcast_to(edge, shape)[row, column] for edge in (self.top, self.left, self.bottom, self.right))
        top, left, bottom, right = map(int, edges)
        return (top, left, bottom, right) if bottom > top and right > left else None


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


class Probe(Protocol):
    """A network that answers questions about one image at a time.

    `image` is always (h, w, c) float32, already preprocessed for the network. Implementations run the network in
    inference mode, never change it, and may be called from several threads at once.
    """

    @property
    def network_info(self) -> NetworkInfo: ...

    def scores(self, image: Array) -> Scores: ...

    def activations(self, image: Array, layers: Sequence[str]) -> list[LayerActivations]:
        """The outputs of layers, in one forward pass, in the order asked.

        Layers are named by path, by name where only one layer has it, or by their index in `network_info.layers`.
        Raises LayerNotFoundError.
        """
        ...

    def channel_statistics(self, images: Array, layers: Sequence[str], signs: Array) -> list[ChannelStatistics]:
        """The answers of all channels of layers to (n, h, w, c), in one forward pass, in the order asked.

        Raises LayerNotFoundError.
        """
        ...

    def unit_activations(self, images: Array, layer: str) -> UnitActivations:
        """The answers of all channels of a layer to (n, h, w, c). Raises LayerNotFoundError."""
        ...

    def receptive_field(self, layer: str, size: tuple[int, int]) -> ReceptiveField | None:
        """Of pictures of (h, w). None where the layer has no space, or the network does what is not known here.

        Raises LayerNotFoundError.
        """
        ...

    def layer(self, reference: str) -> LayerInfo:
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
        """An autoencoder's latents of (n, h, w, c), flattened: (n, units). Raises MethodUnavailableError."""
        ...

    def decode(self, latents: Array) -> Array:
        """What an autoencoder decodes from latents (n, units): (n, h, w, c). Raises MethodUnavailableError."""
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
