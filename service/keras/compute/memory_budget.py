"""How many pictures one pass through a network has memory for, found from its widest layer without running it."""

from collections.abc import Sequence
from functools import partial
from math import inf, prod
from typing import Final

import keras
import tensorflow as tf
from keras import tree

from service.engine.arrays import Array
from service.keras.compute.compiling import compile_graph
from service.keras.compute.traces import Built, Traces
from service.keras.graph.axes.axes import has_batch
from service.keras.graph.replay import Node, Site, Value, Wiring, graph_of, infer, replay

# float32, of a layer's input and of its output: what else is alive is small beside the widest of them.
_BYTES_PER_NUMBER: Final = 2 * 4
# Where the network leaves its size open.
_TRACED: Final = (512, 512)
_SIZES_KEPT: Final = 16


class MemoryBudget:
    """The memory for the pictures of one network, in `max_bytes`; for one picture there always is.

    There is for one alone where the number of pictures is fixed, or a layer computes with several of them.
    """

    def __init__(self, network: keras.Model, wiring: Wiring, max_bytes: int) -> None:
        self._network = network
        self._max_bytes = max_bytes
        self._keeps_apart = _keeps_apart(wiring)
        sizes = [_numbers(value) for call in wiring.calls for value in call.outputs]
        self._fixed = None if None in sizes else max(filter(None, sizes), default=1)
        # Of a network that leaves sizes open: one number from each trace, which is let go.
        self._known = Traces(_SIZES_KEPT)

    def parts_of(self, images: Sequence[Array] | Array) -> list[slice]:
        """Cut pictures (h, w, c) of one size into what one pass may take each time."""
        return self.parts(len(images), images[0].shape)

    def parts(self, count: int, shape: tuple[int, ...], most: int | None = None) -> list[slice]:
        """The same where there are no pictures yet, of (h, w, c); no pass takes more than `most`."""
        size = min(count, most or count)
        if size > 1:
            size = min(size, self._pictures(shape)) if self._keeps_apart else 1
        return [slice(start, start + size) for start in range(0, count, size)]

    def _pictures(self, shape: tuple[int, ...]) -> int:
        return max(1, int(self._max_bytes / (_BYTES_PER_NUMBER * self._widest(shape))))

    def _widest(self, shape: tuple[int, ...]) -> float:
        """Numbers in the widest tensor of one picture."""
        if self._fixed is not None:
            return self._fixed
        # Layers grow as the picture does, near enough: a trace for each size that comes would take seconds. That it is
        # always the same size makes the parts the same, whatever came before.
        for traced in ((*_TRACED, shape[2]), shape):
            density = self._known.get(traced, partial(self._trace, traced))
            if density is not None:
                return density * prod(shape[:2])
        # What the network has against this size the pass itself will say, of one picture at a time.
        return inf

    def _trace(self, shape: tuple[int, ...]) -> Built[float | None]:
        """Numbers in the widest tensor for each pixel of a picture; None where the network is for other sizes."""
        sizes = [prod(shape)]

        def measure(_: Site, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
            found = infer(node, args, kwargs)
            sizes.extend(int(tensor.shape.num_elements() or 0) for tensor in tree.flatten(found))
            return found

        symbol = graph_of(self._network).inputs[0]
        try:
            compile_graph(
                lambda image: replay(self._network, [tf.cast(image, symbol.dtype)], measure),
                tf.TensorSpec([1, *shape], tf.float32),
            )
        except (ValueError, tf.errors.OpError):
            return Built(None)
        return Built(max(sizes) / prod(shape[:2]))


def _keeps_apart(wiring: Wiring) -> bool:
    values = [value for call in wiring.calls for value in call.outputs]
    return all(has_batch(value.axes) for value in values) and all(value.shape[0] is None for value in wiring.inputs)


def _numbers(value: Value) -> int | None:
    """Of one picture; None where a size is open."""
    sizes = [size for size in value.shape[1:] if size is not None]
    return prod(sizes) if len(sizes) == len(value.shape) - 1 else None
