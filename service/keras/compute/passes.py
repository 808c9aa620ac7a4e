"""Compiled passes through a network cut in two at a layer: from pictures to the layer, and from there to the scores.

The first half alone is most of the work, and depends on the picture only: with its answer kept, another class costs the
second half. Both have the batch axis open and are traced once per layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import keras
import tensorflow as tf

from service.engine.arrays import Array
from service.engine.ports.network_info import Task
from service.keras.compute.compiling import ConcreteFunction, built, compile_graph
from service.keras.compute.folding import UNFOLDED, Folded, Folding
from service.keras.compute.gradients import differentiate
from service.keras.compute.scoring import first_tensor, is_plain_dense, pick_logits, preactivation, score
from service.keras.compute.traces import Built, Traces
from service.keras.graph.head import Head
from service.keras.graph.replay import Call, Hook, Node, Site, Value, Wiring, graph_of, infer
from service.keras.graph.subgraph import Subgraph, compute_subgraph, find_cut, find_subgraph
from service.keras.graph.upright import turn

# Of what the kernels of all traces may take together: for the passes of the usual layer, and of any other.
_USUAL_SHARE, _OTHER_SHARE = 4, 32


@dataclass(frozen=True)
class Passes:
    """Traces for one network with class scores.

    `folding` None replays every operation as it is; else the kernels in all traces take some `max_bytes` at most, the
    most of them in those of the `usual` layer.
    """

    network: keras.Model
    wiring: Wiring
    head: Head
    task: Task
    traces: Traces
    folding: Folding | None
    max_bytes: int
    usual: Call

    def to_layer(self, call: Call) -> ConcreteFunction:
        """`(images)` to the tensors at the layer, batch first; see `find_cut`."""
        return self.traces.get(("to", call.site), lambda: self._trace_to(call))

    def to_scores(self, call: Call) -> ConcreteFunction:
        """`(*tensors)` to the scores (n, classes)."""
        return self.traces.get(("scores", call.site), lambda: self._trace_scores(call))

    def to_gradients(self, call: Call) -> ConcreteFunction:
        """`(*tensors, classes)` to (activations, gradients, scores, values, indices); class -1 means the best.

        Activations and gradients are upright, whatever the tensors are.
        """
        return self.traces.get(("gradients", call.site), lambda: self._trace_gradients(call))

    def scores_plainly(self, images: Array) -> tf.Tensor:
        """The scores, operation by operation as the network has them: nothing folded, nothing compiled."""
        plain = replace(self, folding=None)
        images = tf.cast(images, graph_of(self.network).inputs[0].dtype)
        return plain._finish(plain._rest(self.wiring.inputs[0].call), [images])[1]

    def _trace_to(self, call: Call) -> Built[ConcreteFunction]:
        symbol = graph_of(self.network).inputs[0]
        part = find_subgraph(self.wiring.inputs, find_cut(self.wiring, call))
        folded = self._fold(part, call)

        def compute(images: tf.Tensor) -> list[tf.Tensor]:
            images = tf.cast(images, symbol.dtype)
            return compute_subgraph(self.network, self.wiring, part, [images], folded.operate())

        return built(compile_graph(compute, tf.TensorSpec([None, *symbol.shape[1:]], tf.float32)), folded.bytes)

    def _trace_scores(self, call: Call) -> Built[ConcreteFunction]:
        rest = self._rest(call)

        def compute(*tensors: tf.Tensor) -> tf.Tensor:
            return self._finish(rest, tensors)[1]

        return built(compile_graph(compute, *self._specs(call)), rest.folded.bytes)

    def _trace_gradients(self, call: Call) -> Built[ConcreteFunction]:
        rest = self._rest(call)

        def compute(*given: tf.Tensor) -> tuple[tf.Tensor, ...]:
            *tensors, classes = given
            layer, scores, pick = self._finish(rest, tensors)
            best = tf.argmax(scores, axis=-1, output_type=tf.int32)
            indices = tf.where(classes < 0, best, classes)
            values = pick(indices)
            gradients = differentiate(values, layer)
            maps = [turn(call.outputs[0], tensor) for tensor in (tf.cast(layer, tf.float32), gradients)]
            return *maps, scores, values, indices

        trace = compile_graph(compute, *self._specs(call), tf.TensorSpec([None], tf.int32))
        return built(trace, rest.folded.bytes)

    def _specs(self, call: Call) -> list[tf.TensorSpec]:
        return [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in self.to_layer(call).outputs]

    def _rest(self, call: Call) -> "_Rest":
        wanted = (call.outputs[0], *self.wiring.outputs, *self._logits())
        part = find_subgraph(find_cut(self.wiring, call), wanted)
        return _Rest(part, self._fold(part, call))

    def _finish(
        self, rest: "_Rest", tensors: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        """The layer's output, the scores, and a function from class indices to the differentiable numbers.

        From the tensors at the layer.
        """
        noted: list[_Noted] = []
        operate = rest.folded.operate(self._noting(noted))
        layer, output, *others = compute_subgraph(self.network, self.wiring, rest.part, tensors, operate)
        output = _flat(output)
        logits = others[-1] if self.head.source == "input" else noted[0].logits if noted else output
        logits = _flat(logits)
        scores, targets = score(self.head, self.task, output, logits)
        if noted and targets is noted[0].logits and is_plain_dense(noted[0].layer):
            return layer, scores, partial(pick_logits, noted[0].layer, noted[0].inputs)
        return layer, scores, partial(tf.gather, targets, batch_dims=1)

    def _logits(self) -> tuple[Value, ...]:
        """The logits, where they are a tensor of the network."""
        return (self.head.value,) if self.head.source == "input" else ()

    def _fold(self, part: Subgraph, call: Call) -> Folded:
        if self.folding is None:
            return UNFOLDED
        share = _USUAL_SHARE if call is self.usual else _OTHER_SHARE
        # The head is taken apart, see `_noting`.
        spared = {self.head.call.site} if self.head.call is not None else set()
        return self.folding.apply(part, max_bytes=self.max_bytes // share, spared=spared)

    def _noting(self, noted: "list[_Noted]") -> Hook:
        """A hook that takes the head's activation apart and notes what comes before it."""

        def hook(here: Site, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
            head = self.head
            if head.source != "preactivation" or head.call is None or here != head.call.site:
                return infer(node, args, kwargs)
            layer, inputs = node.operation, first_tensor(args, kwargs)
            noted.append(_Noted(preactivation(layer, inputs), layer, inputs))
            return layer.activation(noted[0].logits)

        return hook


@dataclass(frozen=True)
class _Rest:
    """Of a network what lies beyond a layer."""

    part: Subgraph
    folded: Folded


@dataclass(frozen=True)
class _Noted:
    """The logits, and what computes them from what."""

    logits: tf.Tensor
    layer: keras.Layer
    inputs: tf.Tensor


def _flat(tensor: tf.Tensor) -> tf.Tensor:
    """(n, …, classes) to (n, classes) float32."""
    tensor = tf.cast(tensor, tf.float32)
    if tensor.shape.rank == 2:
        return tensor
    return tf.reshape(tensor, [-1, int(tf.TensorShape(tensor.shape[1:]).num_elements())])
