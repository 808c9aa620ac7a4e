"""Whether a canvas of some size suits a layer, found by tracing the layer's part of the network without running it."""

from collections.abc import Iterator

import keras
import tensorflow as tf

from service.engine.ports.answers import LayerOnCanvas
from service.errors import SizeUnsuitableError
from service.keras.compute.ascent.truncation import truncate
from service.keras.compute.compiling import compile_graph
from service.keras.compute.traces import Built, Traces
from service.keras.graph.cost import count_operations, count_values
from service.keras.graph.replay import Call, Wiring
from service.keras.graph.upright import upright_shape

# Sides worth a try where the network leaves its size open.
_SIDES = (32, 64, 128, 224, 299)


class Canvases:
    """Answers for one network, the latest kept. They are a few numbers each: the traces behind them are let go."""

    def __init__(self, network: keras.Model, wiring: Wiring, limit: int = 256) -> None:
        self._network = network
        self._wiring = wiring
        self._known = Traces(limit)

    def look(self, call: Call, size: tuple[int, int]) -> LayerOnCanvas:
        """Raises SizeUnsuitableError."""
        found = self._find(call, size)
        if found is None:
            height, width = size
            raise SizeUnsuitableError(
                f"layer '{call.site.path}' cannot be computed from a canvas of {height} x {width}"
                + self._advise(call, max(size))
            )
        return found

    def _advise(self, call: Call, side: int) -> str:
        for height, width in self._alternatives(side):
            if self._find(call, (height, width)):
                advice = str(height) if height == width else "none at all, which is the network's own"
                return f"; a size that does is {advice}"
        return ""

    def _alternatives(self, side: int) -> Iterator[tuple[int, int]]:
        _, height, width, _ = self._wiring.inputs[0].shape
        if height and width:
            yield height, width
        else:
            yield from ((other, other) for other in _SIDES if other > side)

    def _find(self, call: Call, size: tuple[int, int]) -> LayerOnCanvas | None:
        return self._known.get((call.site, size), lambda: Built(self._trace(call, size)))

    def _trace(self, call: Call, size: tuple[int, int]) -> LayerOnCanvas | None:
        part = truncate(self._network, self._wiring, call)
        channels = self._wiring.inputs[0].shape[3]
        canvas, filters = tf.TensorSpec([1, *size, channels], tf.float32), tf.TensorSpec([1], tf.int32)
        try:
            trace = compile_graph(
                lambda images, filters: part.compute(images, part.pick(filters)).output, canvas, filters
            )
        except (ValueError, tf.errors.OpError):
            return None
        shape = (*trace.outputs[0].shape[:-1], upright_shape(call.outputs[0])[-1] or trace.outputs[0].shape[-1])
        if shape[0] != 1 or not all(shape):
            return None
        return LayerOnCanvas(call.site.path, shape[1:], count_operations(trace.graph), count_values(trace.graph))
