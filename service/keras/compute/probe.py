"""The Probe over a Keras network: each question is compiled once, with the batch axis open."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from service.engine.activation_cache import ActivationCache, fingerprint
from service.engine.arrays import Array
from service.engine.ports.answers import (
    ChannelStatistics,
    Kernel,
    LayerActivations,
    LayerGradients,
    LayerOnCanvas,
    ReceptiveField,
    Scores,
    UnitActivations,
)
from service.engine.ports.ascent import Ascended, Ascent
from service.engine.ports.network_info import LayerInfo
from service.engine.ports.overrides import NO_OVERRIDES, Overrides
from service.errors import MethodUnavailableError
from service.keras.compute.ascent.canvases import Canvases
from service.keras.compute.ascent.gradient_ascent import Loop, built_loop, climb, compile_loop
from service.keras.compute.ascent.truncation import truncate
from service.keras.compute.autoencoding import find_coding
from service.keras.compute.channel_statistics import join_channel_statistics, trace_channel_statistics
from service.keras.compute.classification import Classifying, find_sources, find_waypoint
from service.keras.compute.compiling import ConcreteFunction, built, compile_graph, computing
from service.keras.compute.folding import UNFOLDED, Folding
from service.keras.compute.memory_budget import MemoryBudget
from service.keras.compute.passes import Passes
from service.keras.compute.traces import Built, Traces
from service.keras.compute.tuning import UNTUNED, Tuning
from service.keras.compute.unit_activations import join_unit_activations, trace_unit_activations
from service.keras.graph.head import find_head
from service.keras.graph.layer_info import describe_layer
from service.keras.graph.lookup import find_kernels, find_layer, find_layer_with_filters
from service.keras.graph.network_info import examine, find_latent_layer
from service.keras.graph.receptive_field import find_receptive_field
from service.keras.graph.replay import Call, graph_of, infer, replay, wire
from service.keras.graph.subgraph import compute_subgraph, find_subgraph
from service.keras.graph.upright import require_known_axes, turn

# What Keras and TensorFlow keep of each call of a layer beside its weights, as measured by the growth of the process.
CALL_BYTES = 56 * 2**10
# Of what the kernels of all traces may take.
_SHARE_OF_ASCENT, _SHARE_OF_STATISTICS, _SHARE_OF_ACTIVATIONS = 4, 4, 32


class KerasProbe:
    """Answers from one loaded network, which it never changes.

    What `overrides` say overrules what the graph suggests. Raises LayerNotFoundError for an unknown default layer.
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        overrides: Overrides = NO_OVERRIDES,
        repairs: tuple[str, ...] = (),
        tuning: Tuning = UNTUNED,
    ) -> None:
        self._network = network
        self._wiring = wire(network)
        self._canvases = Canvases(network, self._wiring)
        self._activation_cache = tuning.activation_cache or ActivationCache(0)
        self._owner = self._activation_cache.make_owner(self)
        self.traces = Traces(tuning.max_traces, tuning.max_bytes, tuning.max_held_bytes)
        self._network_bytes = sum(map(_bytes_of, network.weights)) + len(self._wiring.calls) * CALL_BYTES
        self._memory = MemoryBudget(network, self._wiring, tuning.pass_bytes)
        latent = find_latent_layer(self._wiring, overrides)
        self._coding = find_coding(network, self._wiring, self.traces, latent, self._memory)
        head = find_head(self._wiring.outputs[0])
        network_info = examine(network, self._wiring, head, overrides)
        # Of a U-Net the output has the input's shape as well.
        is_none = network_info.task == "autoencoder" and overrides.task is None and self._coding.latent is None
        self.network_info = replace(
            network_info,
            task="features" if is_none else network_info.task,
            repairs=repairs,
            latent=self._coding.latent,
            no_latent=self._coding.reason,
        )
        self._folding = Folding(self._wiring) if tuning.fold else None
        self._max_bytes = tuning.max_bytes
        sources = find_sources(self._wiring, head)
        passes = Passes(
            network, self._wiring, head, self.network_info.task, self.traces, self._folding, self._max_bytes,
            usual=find_waypoint(self._wiring, sources, self.network_info.default_layer),
        )  # fmt: skip
        self._classifying = Classifying(self.network_info, sources, passes, self._activation_cache, self._memory)

    @property
    def held_bytes(self) -> int:
        """See Probe."""
        return self._network_bytes + self.traces.held_bytes

    @property
    def batch_size(self) -> int | None:
        """How many pictures the network was built for; None where that is open."""
        size: int | None = self._wiring.inputs[0].shape[0]
        return size

    def scores(self, image: Array) -> Scores:
        """See Probe."""
        return self.scores_of([image])[0]

    def scores_of(self, images: Sequence[Array]) -> list[Scores]:
        """See BatchProbe."""
        return self._classifying.scores_of(images)

    def activations(self, image: Array, layers: Sequence[str]) -> list[LayerActivations]:
        """See Probe."""
        calls = [self._find_readable(layer) for layer in layers]
        picture = fingerprint(image)
        keys = [(self._owner, call.site, picture) for call in calls]
        kept = [arrays[0] for arrays in map(self._activation_cache.get, keys) if arrays is not None]
        if len(kept) < len(calls):
            # One trace gives every layer: a trace for each combination that clients think of would fill the cache.
            trace = self.traces.get("activations", self._trace_activations)
            with computing(image.shape):
                answers = trace(tf.constant(image[None]))
                kept = [answers[call.order].numpy()[0] for call in calls]
            for key, array in zip(keys, kept, strict=True):
                self._activation_cache.put(key, [array])
        return [LayerActivations(call.site.path, array) for call, array in zip(calls, kept, strict=True)]

    def channel_statistics(self, images: Array, layers: Sequence[str], signs: Array) -> list[ChannelStatistics]:
        """See Probe."""
        calls = [self._find_readable(layer) for layer in layers]

        def build() -> Built[ConcreteFunction]:
            share = self._max_bytes // _SHARE_OF_STATISTICS
            return trace_channel_statistics(self._network, self._wiring, calls, self._folding, share)

        trace = self.traces.get(("channel_statistics", tuple(call.site for call in calls)), build)
        with computing(images[0].shape):
            found = [
                trace(tf.constant(images[part]), tf.constant(signs[part])) for part in self._memory.parts_of(images)
            ]
            return [
                join_channel_statistics(call.site.path, answers) for call, *answers in zip(calls, *found, strict=True)
            ]

    def unit_activations(self, images: Array, layer: str) -> UnitActivations:
        """See Probe."""
        call = self._find_readable(layer)

        def build() -> Built[ConcreteFunction]:
            share = self._max_bytes // _SHARE_OF_STATISTICS
            return trace_unit_activations(self._network, self._wiring, call, self._folding, share)

        trace = self.traces.get(("unit_activations", call.site), build)
        with computing(images[0].shape):
            return join_unit_activations(
                call.site.path, [trace(tf.constant(images[part])) for part in self._memory.parts_of(images)]
            )

    def receptive_field(self, layer: str, size: tuple[int, int]) -> ReceptiveField | None:
        """See Probe."""
        return find_receptive_field(self._wiring, find_layer(self._wiring, layer), size)

    def encode(self, images: Array) -> Array:
        """See Probe."""
        return self._coding.encode(images)

    def decode(self, latents: Array) -> Array:
        """See Probe."""
        return self._coding.decode(latents)

    def unit_gradients(self, images: Array, layer: str, units: Sequence[int]) -> Array:
        """See Probe."""
        return self._coding.unit_gradients(images, self._find_readable(layer), units)

    def layer(self, reference: str) -> LayerInfo:
        """See Probe."""
        return describe_layer(find_layer(self._wiring, reference))

    def kernels(self, layer: str) -> list[Kernel]:
        """See Probe."""
        return find_kernels(self._wiring, layer)

    def activations_and_gradients(
        self, image: Array, *, layer: str | None = None, class_index: int | None = None
    ) -> LayerGradients:
        """See Probe."""
        return self.gradients_of([image], [class_index], layer=layer)[0]

    def gradients_of(
        self, images: Sequence[Array], classes: Sequence[int | None], *, layer: str | None = None
    ) -> list[LayerGradients]:
        """See BatchProbe."""
        return self._classifying.gradients_of(images, classes, layer=layer)

    def require_target(self, *, layer: str | None, class_index: int | None) -> None:
        """See Probe."""
        self._classifying.find_target(layer, class_index)

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

        def build() -> Built[Loop]:
            part = truncate(self._network, self._wiring, call, self._folding, self._max_bytes // _SHARE_OF_ASCENT)
            return built_loop(compile_loop(part, shape, canvas.preprocessing), part.bytes)

        loop = self.traces.get(("ascent", call.site, shape, canvas.preprocessing), build)
        return climb(loop, objective.filters, canvas, ascent.schedule, report=report)

    def run_once(self, open_size: tuple[int, int] = (224, 224)) -> None:
        """Run the network on noise: proof that it works, a warm-up of the first traces, and a check of the folding.

        `open_size` (h, w) stands in where the network leaves its size open. Raises whatever the network raises.
        """
        if self.network_info.classes is not None and self.network_info.input_shape is not None:
            height, width, channels = self.network_info.input_shape
            shape = (height or open_size[0], width or open_size[1], channels)
            if not self._classifying.folds_well(np.random.default_rng(0).random(shape, np.float32)):
                self.traces.clear()
                self._folding = None
            return
        shapes = [value.shape[1:] for value in self._wiring.inputs]
        sizes = [[size or open_size[min(axis, 1)] for axis, size in enumerate(shape)] for shape in shapes]
        symbols = graph_of(self._network).inputs
        zeros = [tf.zeros([1, *size], symbol.dtype) for size, symbol in zip(sizes, symbols, strict=True)]
        replay(self._network, zeros, lambda _, node, args, kwargs: infer(node, args, kwargs))

    def _find_readable(self, layer: str) -> Call:
        """The layer, if it is known which of its axes is what."""
        call = find_layer(self._wiring, layer)
        require_known_axes(call)
        return call

    def _require_image(self) -> None:
        if self.network_info.input_shape is None:
            raise MethodUnavailableError("no single picture goes into this network")

    def _trace_activations(self) -> Built[ConcreteFunction]:
        values = tuple(call.outputs[0] for call in self._wiring.calls)
        part = find_subgraph(self._wiring.inputs, values)
        share = self._max_bytes // _SHARE_OF_ACTIVATIONS
        folded = self._folding.apply(part, max_bytes=share, normalisation=False) if self._folding else UNFOLDED

        def compute(images: tf.Tensor) -> list[tf.Tensor]:
            found = compute_subgraph(self._network, self._wiring, part, [self._enter(images)], folded.operate())
            return [tf.cast(turn(value, tensor), tf.float32) for value, tensor in zip(values, found, strict=True)]

        return built(compile_graph(compute, self._image_spec()), folded.bytes)

    def _image_spec(self) -> tf.TensorSpec:
        return tf.TensorSpec([None, *(self.network_info.input_shape or ())], tf.float32)

    def _enter(self, images: tf.Tensor) -> tf.Tensor:
        return tf.cast(images, graph_of(self._network).inputs[0].dtype)


def _bytes_of(weight: keras.Variable) -> int:
    return int(np.prod(weight.shape)) * tf.as_dtype(weight.dtype).size
