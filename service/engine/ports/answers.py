"""What a network answers to a Probe's questions: arrays with the names of the layers and classes that they are of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.engine.arrays import Array
from service.engine.ports.network_info import TargetKind


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
