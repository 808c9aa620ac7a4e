"""The Probe over a Keras network: each question is one compiled graph, traced once, with the batch axis open."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from service.engine.keras import anatomy as anatomical
from service.engine.keras.ascent import climb, compile_loop
from service.engine.keras.canvases import Canvases
from service.engine.keras.compiling import compile_graph, first_of_batch
from service.engine.keras.excerpt import excerpt
from service.engine.keras.graph import Call, Site, functional, infer, replay, wire
from service.engine.keras.landmarks import Head, find_default_layers, find_head
from service.engine.keras.lookup import (
    find_kernels,
    find_layer,
    find_layer_with_filters,
    find_spatial_layer,
    not_spatial,
)
from service.engine.keras.scoring import first_tensor, preactivation, score
from service.engine.keras.traces import Traces
from service.engine.probe import (
    Anatomy,
    Array,
    Ascended,
    Ascent,
    Kernel,
    LayerActivations,
    LayerFacts,
    LayerGradients,
    LayerOnCanvas,
    Scores,
    Target,
    Task,
)
from service.errors import (
    ClassOutOfRangeError,
    LayerNotConnectedError,
    LayerNotFoundError,
    MethodUnavailableError,
    ModelFailedError,
)

BEST_CLASS = -1


@dataclass(frozen=True)
class _Pass:
    """What one replay yields, batch first: the network's scores, the differentiable numbers, one layer's output."""

    scores: Any
    targets: Any
    layer: Any


class KerasProbe:
    """Answers from one loaded network, which it never changes.

    `task` and `default_layer` overrule what the graph suggests. Raises LayerNotFoundError for an unknown default layer.
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        task: Task | None = None,
        default_layer: str | None = None,
        max_traces: int = 64,
        repairs: tuple[str, ...] = (),
    ) -> None:
        self._network = network
        self._wiring = wire(network)
        self._head: Head = find_head(self._wiring.outputs[0])
        self._sources = self._wiring.ancestors(self._head.value)
        self._canvases = Canvases(network, self._wiring)
        self.traces = Traces(max_traces)
        self.anatomy = self._examine(task, default_layer, repairs)

    def scores(self, image: Array) -> Scores:
        """See Probe."""
        self._require_classes()
        trace = self.traces.get("scores", self._trace_scores)
        (scores,) = first_of_batch(trace, image)
        return Scores(scores)

    def activations(self, image: Array, layers: Sequence[str]) -> list[LayerActivations]:
        """See Probe."""
        calls = [find_layer(self._wiring, layer) for layer in layers]
        # One trace gives every layer: a trace for each combination that clients think of would fill the cache.
        trace = self.traces.get("activations", self._trace_activations)
        answers = first_of_batch(trace, image)
        return [LayerActivations(call.site.path, answers[call.order]) for call in calls]

    def layer(self, reference: str) -> LayerFacts:
        """See Probe."""
        return anatomical.describe_layer(find_layer(self._wiring, reference))

    def kernels(self, layer: str) -> list[Kernel]:
        """See Probe."""
        return find_kernels(self._wiring, layer)

    def activations_and_gradients(
        self, image: Array, *, layer: str | None = None, class_index: int | None = None
    ) -> LayerGradients:
        """See Probe."""
        call = self._target_layer(layer, class_index)
        trace = self.traces.get(call.site, lambda: self._trace_gradients(call.site))
        asked = BEST_CLASS if class_index is None else class_index
        answers = first_of_batch(trace, image, tf.constant([asked], tf.int32))
        activations, gradients, scores, values, indices = answers
        self._require_space(call, activations)
        index = int(indices)
        assert self.anatomy.target_kind is not None
        target = Target(index, float(scores[index]), self.anatomy.target_kind, float(values))
        return LayerGradients(call.site.path, activations, gradients, target, Scores(scores))

    def require_target(self, *, layer: str | None, class_index: int | None) -> None:
        """See Probe."""
        self._target_layer(layer, class_index)

    def layer_on_canvas(self, layer: str, size: tuple[int, int]) -> LayerOnCanvas:
        """See Probe."""
        self._require_image()
        return self._canvases.look(find_layer_with_filters(self._wiring, layer), size)

    def ascend(self, ascent: Ascent, report: Callable[[float], None]) -> Ascended:
        """See Probe."""
        objective, canvas = ascent.objective, ascent.canvas
        shape = canvas.start.shape[1:]
        self.layer_on_canvas(objective.layer, shape[:2])
        call = find_layer_with_filters(self._wiring, objective.layer)
        loop = self.traces.get(
            ("ascent", call.site, shape, canvas.preprocessing),
            lambda: compile_loop(excerpt(self._network, self._wiring, call), shape, canvas.preprocessing),
        )
        return climb(loop, objective.filters, canvas, ascent.schedule, report=report)

    def run_once(self, open_size: tuple[int, int] = (224, 224)) -> None:
        """Run the network on zeros: proof that it works, and a warm-up of the first trace.

        `open_size` (h, w) stands in where the network leaves its size open. Raises whatever the network raises.
        """
        if self.anatomy.classes is not None and self.anatomy.input_shape is not None:
            height, width, channels = self.anatomy.input_shape
            self.scores(np.zeros((height or open_size[0], width or open_size[1], channels), np.float32))
            return
        shapes = [value.shape[1:] for value in self._wiring.inputs]
        sizes = [[size or open_size[min(axis, 1)] for axis, size in enumerate(shape)] for shape in shapes]
        symbols = functional(self._network).inputs
        zeros = [tf.zeros([1, *size], symbol.dtype) for size, symbol in zip(sizes, symbols, strict=True)]
        replay(self._network, zeros, lambda _, node, args, kwargs: infer(node, args, kwargs))

    def _examine(self, task: Task | None, default_layer: str | None, repairs: tuple[str, ...]) -> Anatomy:
        wiring, head = self._wiring, self._head
        units = anatomical.unit_count(wiring.outputs[0]) if len(wiring.outputs) == 1 else None
        if task in ("classification", "binary", "regression") and units is None:
            raise ModelFailedError(f"model.toml: task: '{task}' needs a network with one vector as its output")
        task = task or anatomical.guess_task(wiring, head)
        found = [find_spatial_layer(wiring, default_layer)] if default_layer else find_default_layers(wiring.outputs[0])
        return Anatomy(
            input_shape=anatomical.image_shape(wiring),
            task=task,
            classes=anatomical.class_count(task, units),
            target_kind=anatomical.target_kind(task, head),
            default_layer=found[0].site.path if found else None,
            logits=head.describe() if anatomical.class_count(task, units) else None,
            other_layers=tuple(call.site.path for call in found[1:]),
            layers=tuple(anatomical.list_layers(wiring)),
            parameters=self._network.count_params(),
            trainable_parameters=sum(int(np.prod(weight.shape)) for weight in self._network.trainable_weights),
            repairs=repairs,
        )

    def _require_image(self) -> None:
        if self.anatomy.input_shape is None:
            raise MethodUnavailableError("no single picture goes into this network")

    def _require_classes(self) -> int:
        if self.anatomy.classes is None or self.anatomy.input_shape is None:
            raise MethodUnavailableError("this network takes no single picture or gives no class scores")
        return self.anatomy.classes

    def _target_layer(self, path: str | None, class_index: int | None) -> Call:
        classes = self._require_classes()
        if class_index is not None and not 0 <= class_index < classes:
            raise ClassOutOfRangeError(f"class {class_index} does not exist: the classes are 0 to {classes - 1}")
        path = path or self.anatomy.default_layer
        if path is None:
            raise LayerNotFoundError("this network has no default layer: name one with 'layer'")
        call = find_spatial_layer(self._wiring, path)
        if self._sources.isdisjoint(call.outputs):
            raise LayerNotConnectedError(f"the class scores do not depend on layer '{path}': choose an earlier layer")
        return call

    def _require_space(self, call: Call, activations: Array) -> None:
        # Layers of open size show their true size only when they run.
        if activations.shape[:2] == (1, 1):
            raise not_spatial(self._wiring, call)

    def _trace_scores(self) -> Callable[..., Any]:
        return compile_graph(lambda images: (self._pass(images).scores,), self._image_spec())

    def _trace_activations(self) -> Callable[..., Any]:
        def compute(images: Any) -> list[Any]:
            outputs: dict[Site, Any] = {}

            def hook(here: Site, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
                output = infer(node, args, kwargs)
                outputs[here] = tree.flatten(output)[0]
                return output

            entry = self._enter(images)
            replay(self._network, [entry], hook)
            return [tf.cast(outputs.get(call.site, entry), tf.float32) for call in self._wiring.calls]

        return compile_graph(compute, self._image_spec())

    def _trace_gradients(self, site: Site) -> Callable[..., Any]:
        def compute(images: Any, classes: Any) -> tuple[Any, ...]:
            answer = self._pass(images, site)
            best = tf.argmax(answer.scores, axis=-1, output_type=tf.int32)
            indices = tf.where(classes < 0, best, classes)
            values = tf.gather(answer.targets, indices, batch_dims=1)
            # Images of a batch do not mix in inference mode, so the gradient of the sum is each image's own.
            (gradients,) = tf.gradients(tf.reduce_sum(values), [answer.layer])
            gradients = tf.zeros_like(answer.layer) if gradients is None else gradients
            return tf.cast(answer.layer, tf.float32), tf.cast(gradients, tf.float32), answer.scores, values, indices

        return compile_graph(compute, self._image_spec(), tf.TensorSpec([None], tf.int32))

    def _image_spec(self) -> tf.TensorSpec:
        return tf.TensorSpec([None, *(self.anatomy.input_shape or ())], tf.float32)

    def _enter(self, images: Any) -> Any:
        return tf.cast(images, functional(self._network).inputs[0].dtype)

    def _pass(self, images: Any, site: Site | None = None) -> _Pass:
        head = self._head.call
        kept: dict[str, Any] = {}

        def hook(here: Site, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if head is not None and here == head.site:
                kept["logits"] = first_tensor(args, kwargs)
            if head is not None and here == head.site and self._head.source == "preactivation":
                kept["logits"] = preactivation(node.operation, kept["logits"])
                output = node.operation.activation(kept["logits"])
            else:
                output = infer(node, args, kwargs)
            if here == site:
                kept["layer"] = tree.flatten(output)[0]
            return output

        entry = self._enter(images)
        if site == self._wiring.inputs[0].call.site:
            kept["layer"] = entry
        (output, *_) = replay(self._network, [entry], hook)
        output = _flat(output)
        logits = _flat(kept.get("logits", output))
        scores, targets = score(self._head, self.anatomy.task, output, logits)
        return _Pass(scores, targets, kept.get("layer"))


def _flat(tensor: Any) -> Any:
    """(n, …, classes) to (n, classes) float32."""
    tensor = tf.cast(tensor, tf.float32)
    if tensor.shape.rank == 2:
        return tensor
    return tf.reshape(tensor, [-1, int(np.prod(tensor.shape[1:]))])
