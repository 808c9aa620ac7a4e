"""The Probe over a Keras network: each question is compiled once, with the batch axis open."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from service.engine.anatomy import LayerFacts
from service.engine.arrays import Array
from service.engine.ascent import Ascended, Ascent
from service.engine.keras.anatomy import describe_layer
from service.engine.keras.ascent import climb, compile_loop
from service.engine.keras.canvases import Canvases
from service.engine.keras.coding import find_coding
from service.engine.keras.compiling import compile_graph, computing
from service.engine.keras.examination import examine, find_latent_layer
from service.engine.keras.excerpt import excerpt
from service.engine.keras.folding import UNFOLDED, Folding
from service.engine.keras.graph import Call, Value, functional, infer, replay, wire
from service.engine.keras.landmarks import Head, find_head
from service.engine.keras.lookup import (
    find_kernels,
    find_layer,
    find_layer_with_filters,
    find_spatial_layer,
    not_spatial,
)
from service.engine.keras.parts import compute_part, find_part
from service.engine.keras.passes import Passes
from service.engine.keras.receptive_field import find_receptive_field
from service.engine.keras.responses import trace_responses
from service.engine.keras.survey import trace_survey
from service.engine.keras.traces import Built, Traces
from service.engine.keras.tuning import UNTUNED, Tuning
from service.engine.probe import (
    Kernel,
    LayerActivations,
    LayerGradients,
    LayerOnCanvas,
    LayerResponses,
    LayerSurvey,
    ReceptiveField,
    Scores,
    Target,
)
from service.engine.reuse import ActivationCache, fingerprint
from service.engine.stated import UNSTATED, Stated
from service.errors import (
    ClassOutOfRangeError,
    LayerNotConnectedError,
    LayerNotFoundError,
    MethodUnavailableError,
)

logger = logging.getLogger(__name__)

BEST_CLASS = -1
# Of what the kernels of all traces may take.
_SHARE_OF_ASCENT, _SHARE_OF_SURVEY, _SHARE_OF_ACTIVATIONS = 4, 4, 32
# Of scores, between a network as it is and folded.
FOLDING_TOLERANCE = 1e-3


class KerasProbe:
    """Answers from one loaded network, which it never changes.

    What is `stated` overrules what the graph suggests. Raises LayerNotFoundError for an unknown default layer.
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        stated: Stated = UNSTATED,
        repairs: tuple[str, ...] = (),
        tuning: Tuning = UNTUNED,
    ) -> None:
        self._network = network
        self._wiring = wire(network)
        self._head: Head = find_head(self._wiring.outputs[0])
        self._sources = self._wiring.ancestors(_before(self._head))
        self._canvases = Canvases(network, self._wiring)
        self._reuse = tuning.reuse or ActivationCache(0)
        # Names this probe's entries there, and keeps nothing alive.
        self._owner = object()
        self.traces = Traces(tuning.max_traces, tuning.max_bytes)
        self._coding = find_coding(network, self._wiring, self.traces, find_latent_layer(self._wiring, stated))
        self.anatomy = replace(
            examine(network, self._wiring, self._head, stated),
            repairs=repairs,
            code=self._coding.code,
            no_code=self._coding.reason,
        )
        self._folding = Folding(self._wiring) if tuning.fold else None
        self._max_bytes = tuning.max_bytes
        self._passes = Passes(
            network, self._wiring, self._head, self.anatomy.task, self.traces,
            self._folding, self._max_bytes, self._waypoint(),
        )  # fmt: skip

    def scores(self, image: Array) -> Scores:
        """See Probe."""
        return self.scores_of([image])[0]

    def scores_of(self, images: Sequence[Array]) -> list[Scores]:
        """See BatchProbe."""
        self._require_classes()
        call = self._waypoint()
        with computing(images[0]):
            scores = self._passes.to_scores(call)(*self._at(call, images)).numpy()
        return list(map(Scores, scores))

    def activations(self, image: Array, layers: Sequence[str]) -> list[LayerActivations]:
        """See Probe."""
        calls = [find_layer(self._wiring, layer) for layer in layers]
        picture = fingerprint(image)
        keys = [(self._owner, "output", call.site, picture) for call in calls]
        kept = [arrays[0] for arrays in map(self._reuse.get, keys) if arrays is not None]
        if len(kept) < len(calls):
            # One trace gives every layer: a trace for each combination that clients think of would fill the cache.
            trace = self.traces.get("activations", self._trace_activations)
            with computing(image):
                answers = trace(tf.constant(image[None]))
                kept = [answers[call.order].numpy()[0] for call in calls]
            for key, array in zip(keys, kept, strict=True):
                self._reuse.put(key, [array])
        return [LayerActivations(call.site.path, array) for call, array in zip(calls, kept, strict=True)]

    def survey(self, images: Array, layers: Sequence[str], signs: Array) -> list[LayerSurvey]:
        """See Probe."""
        calls = [find_layer(self._wiring, layer) for layer in layers]

        def build() -> Built:
            share = self._max_bytes // _SHARE_OF_SURVEY
            return trace_survey(self._network, self._wiring, calls, self._folding, share)

        trace = self.traces.get(("survey", tuple(call.site for call in calls)), build)
        with computing(images[0]):
            answers = trace(tf.constant(images), tf.constant(signs))
            arrays = [[tensor.numpy() for tensor in answer] for answer in answers]
        return [
            LayerSurvey(call.site.path, int(positions), *found)
            for call, (positions, *found) in zip(calls, arrays, strict=True)
        ]

    def responses(self, images: Array, layer: str) -> LayerResponses:
        """See Probe."""
        call = find_layer(self._wiring, layer)

        def build() -> Built:
            share = self._max_bytes // _SHARE_OF_SURVEY
            return trace_responses(self._network, self._wiring, call, self._folding, share)

        with computing(images[0]):
            answers = self.traces.get(("responses", call.site), build)(tf.constant(images))
            shape, mean, greatest, place = (tensor.numpy() for tensor in answers)
        return LayerResponses(call.site.path, tuple(shape.tolist()), mean, greatest, place)

    def receptive_field(self, layer: str) -> ReceptiveField | None:
        """See Probe."""
        return find_receptive_field(find_layer(self._wiring, layer))

    def encode(self, images: Array) -> Array:
        """See Probe."""
        return self._coding.encode(images)

    def decode(self, codes: Array) -> Array:
        """See Probe."""
        return self._coding.decode(codes)

    def unit_gradients(self, images: Array, layer: str, units: Sequence[int]) -> Array:
        """See Probe."""
        return self._coding.unit_gradients(images, find_layer(self._wiring, layer), units)

    def layer(self, reference: str) -> LayerFacts:
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
        call = self._target_layer(layer, *classes)
        asked = tf.constant([BEST_CLASS if index is None else index for index in classes], tf.int32)
        with computing(images[0]):
            answers = self._passes.to_gradients(call)(*self._at(call, images), asked)
            rows = zip(*(answer.numpy() for answer in answers), strict=True)
        return [self._describe(call, *row) for row in rows]

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

        def build() -> Built:
            part = excerpt(self._network, self._wiring, call, self._folding, self._max_bytes // _SHARE_OF_ASCENT)
            return Built(compile_loop(part, shape, canvas.preprocessing), part.bytes)

        loop = self.traces.get(("ascent", call.site, shape, canvas.preprocessing), build)
        return climb(loop, objective.filters, canvas, ascent.schedule, report=report)

    def run_once(self, open_size: tuple[int, int] = (224, 224)) -> None:
        """Run the network on noise: proof that it works, a warm-up of the first traces, and a check of the folding.

        `open_size` (h, w) stands in where the network leaves its size open. Raises whatever the network raises.
        """
        if self.anatomy.classes is not None and self.anatomy.input_shape is not None:
            height, width, channels = self.anatomy.input_shape
            shape = (height or open_size[0], width or open_size[1], channels)
            self._check_folding(np.random.default_rng(0).random(shape, np.float32))
            return
        shapes = [value.shape[1:] for value in self._wiring.inputs]
        sizes = [[size or open_size[min(axis, 1)] for axis, size in enumerate(shape)] for shape in shapes]
        symbols = functional(self._network).inputs
        zeros = [tf.zeros([1, *size], symbol.dtype) for size, symbol in zip(sizes, symbols, strict=True)]
        replay(self._network, zeros, lambda _, node, args, kwargs: infer(node, args, kwargs))

    def _check_folding(self, image: Array) -> None:
        """Fold no more where it changes the scores by more than rounding does."""
        scores = self.scores(image).values
        if self._folding is None or not self._folding.fixable:
            return
        plain = self._passes.scores_plainly(self._enter(image[None])).numpy()[0]
        if not np.allclose(scores, plain, rtol=FOLDING_TOLERANCE, atol=FOLDING_TOLERANCE, equal_nan=True):
            logger.warning("batch normalisation is not folded: it changes scores by %g", np.abs(scores - plain).max())
            self.traces.clear()
            self._folding = None
            self._passes = replace(self._passes, folding=None)

    def _require_image(self) -> None:
        if self.anatomy.input_shape is None:
            raise MethodUnavailableError("no single picture goes into this network")

    def _require_classes(self) -> int:
        if self.anatomy.classes is None or self.anatomy.input_shape is None:
            raise MethodUnavailableError("this network takes no single picture or gives no class scores")
        return self.anatomy.classes

    def _target_layer(self, path: str | None, *asked: int | None) -> Call:
        classes = self._require_classes()
        for index in asked:
            if index is not None and not 0 <= index < classes:
                raise ClassOutOfRangeError(f"class {index} does not exist: the classes are 0 to {classes - 1}")
        path = path or self.anatomy.default_layer
        if path is None:
            raise LayerNotFoundError("this network has no default layer: name one with 'layer'")
        call = find_spatial_layer(self._wiring, path)
        if not self._is_source(call):
            raise LayerNotConnectedError(f"the class scores do not depend on layer '{path}': choose an earlier layer")
        return call

    def _require_space(self, call: Call, activations: Array) -> None:
        # Layers of open size show their true size only when they run.
        if activations.shape[:2] == (1, 1):
            raise not_spatial(self._wiring, call)

    def _waypoint(self) -> Call:
        """Where scores are computed from: at the default layer, so that its heat map needs no second forward pass."""
        default = self.anatomy.default_layer
        call = self._wiring.by_path[default] if default else None
        return call if call is not None and self._is_source(call) else self._wiring.inputs[0].call

    def _is_source(self, call: Call) -> bool:
        return not self._sources.isdisjoint(call.outputs)

    def _at(self, call: Call, images: Sequence[Array]) -> list[Any]:
        """The tensors at a layer, batch first; of pictures that were seen before without computing them."""
        trace = self._passes.to_layer(call)
        if call.is_input or not self._reuse.keeps:
            return list(trace(_batch(images)))
        keys = [(self._owner, "at", call.site, fingerprint(image)) for image in images]
        kept = [self._reuse.get(key) for key in keys]
        missing = [place for place, arrays in enumerate(kept) if arrays is None]
        if missing:
            fresh = trace(_batch([images[place] for place in missing]))
            rows = [tensor.numpy() for tensor in fresh]
            for row, place in enumerate(missing):
                kept[place] = [array[row] for array in rows]
                self._reuse.put(keys[place], kept[place] or ())
            if len(missing) == len(images):
                return list(fresh)
        return [_batch(arrays) for arrays in zip(*filter(None, kept), strict=True)]

    def _describe(self, call: Call, activations: Array, gradients: Array, *numbers: Any) -> LayerGradients:
        scores, value, class_index = numbers
        self._require_space(call, activations)
        index = int(class_index)
        assert self.anatomy.target_kind is not None
        target = Target(index, float(scores[index]), self.anatomy.target_kind, float(value))
        return LayerGradients(call.site.path, activations, gradients, target, Scores(scores))

    def _trace_activations(self) -> Built:
        values = tuple(call.outputs[0] for call in self._wiring.calls)
        part = find_part(self._wiring.inputs, values)
        share = self._max_bytes // _SHARE_OF_ACTIVATIONS
        folded = self._folding.apply(part, max_bytes=share, normalisation=False) if self._folding else UNFOLDED

        def compute(images: Any) -> list[Any]:
            found = compute_part(self._network, self._wiring, part, [self._enter(images)], folded.operate())
            return [tf.cast(tensor, tf.float32) for tensor in found]

        return Built(compile_graph(compute, self._image_spec()), folded.bytes)

    def _image_spec(self) -> tf.TensorSpec:
        return tf.TensorSpec([None, *(self.anatomy.input_shape or ())], tf.float32)

    def _enter(self, images: Any) -> Any:
        return tf.cast(images, functional(self._network).inputs[0].dtype)


def _batch(arrays: Sequence[Array]) -> Any:
    """One tensor, batch first. A single array is not copied twice."""
    return tf.constant(arrays[0][None] if len(arrays) == 1 else np.stack(arrays))


def _before(head: Head) -> Value:
    """The tensor that the logits are made from, or the scores where there are none."""
    return head.call.inputs[0] if head.call is not None else head.value
