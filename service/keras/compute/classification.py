"""Class scores, and their gradients at a layer: from what is kept of a picture, where it was seen before."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import tensorflow as tf

from service.engine.activation_cache import ActivationCache, fingerprint
from service.engine.arrays import Array
from service.engine.ports.answers import LayerGradients, Scores, Target
from service.engine.ports.network_info import NetworkInfo
from service.errors import ClassOutOfRangeError, LayerNotConnectedError, LayerNotFoundError, MethodUnavailableError
from service.keras.compute.compiling import computing
from service.keras.compute.memory_budget import MemoryBudget
from service.keras.compute.passes import Passes
from service.keras.graph.head import Head
from service.keras.graph.lookup import find_spatial_layer, not_spatial
from service.keras.graph.replay import Call, Value, Wiring

logger = logging.getLogger(__name__)

BEST_CLASS = -1
# Of scores, between a network as it is and folded.
FOLDING_TOLERANCE = 1e-3
# Of one picture: activations, gradients, scores, the differentiated number, and the class that it belongs to.
_Row = tuple[Array, Array, Array, np.float32, np.int32]


class Classifying:
    """A network's passes to its scores, which are computed from `sources`, and from there back to a layer."""

    def __init__(
        self,
        network_info: NetworkInfo,
        sources: set[Value],
        passes: Passes,
        activation_cache: ActivationCache,
        memory: MemoryBudget,
    ) -> None:
        self._network_info = network_info
        self._wiring = passes.wiring
        self._sources = sources
        self._passes = passes
        self._activation_cache = activation_cache
        self._memory = memory
        self._owner = activation_cache.make_owner(self)

    def scores_of(self, images: Sequence[Array]) -> list[Scores]:
        """See BatchProbe."""
        self._require_classes()
        call = self._passes.usual
        found: list[Scores] = []
        for part in self._memory.parts_of(images):
            with computing(images[0].shape):
                scores = self._passes.to_scores(call)(*self._at(call, images[part])).numpy()
            found += map(Scores, scores)
        return found

    def gradients_of(
        self, images: Sequence[Array], classes: Sequence[int | None], *, layer: str | None
    ) -> list[LayerGradients]:
        """See BatchProbe."""
        call = self.find_target(layer, *classes)
        asked = [BEST_CLASS if index is None else index for index in classes]
        found: list[LayerGradients] = []
        for part in self._memory.parts_of(images):
            with computing(images[0].shape):
                answers = self._passes.to_gradients(call)(
                    *self._at(call, images[part]), tf.constant(asked[part], tf.int32)
                )
                rows = zip(*(answer.numpy() for answer in answers), strict=True)
            found += [self._describe(call, row) for row in rows]
        return found

    def find_target(self, path: str | None, *asked: int | None) -> Call:
        """The layer, by default the usual one, if the scores of these classes have gradients there."""
        classes = self._require_classes()
        for index in asked:
            if index is not None and not 0 <= index < classes:
                raise ClassOutOfRangeError(f"class {index} does not exist: the classes are 0 to {classes - 1}")
        path = path or self._network_info.default_layer
        if path is None:
            raise LayerNotFoundError("this network has no default layer: name one with 'layer'")
        call = find_spatial_layer(self._wiring, path)
        if self._sources.isdisjoint(call.outputs):
            raise LayerNotConnectedError(f"the class scores do not depend on layer '{path}': choose an earlier layer")
        return call

    def folds_well(self, image: Array) -> bool:
        """False where folding changes the scores by more than rounding does; then it is done no more."""
        scores = self.scores_of([image])[0].values
        if self._passes.folding is None or not self._passes.folding.fixable:
            return True
        plain = self._passes.scores_plainly(image[None]).numpy()[0]
        if np.allclose(scores, plain, rtol=FOLDING_TOLERANCE, atol=FOLDING_TOLERANCE, equal_nan=True):
            return True
        logger.warning("batch normalisation is not folded: it changes scores by %g", np.abs(scores - plain).max())
        self._passes = replace(self._passes, folding=None)
        return False

    def _require_classes(self) -> int:
        if self._network_info.classes is None or self._network_info.input_shape is None:
            raise MethodUnavailableError("this network takes no single picture or gives no class scores")
        return self._network_info.classes

    def _at(self, call: Call, images: Sequence[Array]) -> list[tf.Tensor]:
        """The tensors at a layer, batch first; of pictures that were seen before without computing them."""
        trace = self._passes.to_layer(call)
        if call.is_input or not self._activation_cache.keeps:
            return list(trace(_batch(images)))
        keys = [(self._owner, call.site, fingerprint(image)) for image in images]
        kept = [self._activation_cache.get(key) for key in keys]
        missing = [place for place, arrays in enumerate(kept) if arrays is None]
        if missing:
            fresh = trace(_batch([images[place] for place in missing]))
            rows = [tensor.numpy() for tensor in fresh]
            for row, place in enumerate(missing):
                kept[place] = [array[row] for array in rows]
                self._activation_cache.put(keys[place], kept[place] or ())
            if len(missing) == len(images):
                return list(fresh)
        return [_batch(arrays) for arrays in zip(*filter(None, kept), strict=True)]

    def _describe(self, call: Call, row: _Row) -> LayerGradients:
        activations, gradients, scores, value, class_index = row
        # Layers of open size show their true size only when they run.
        if activations.shape[:2] == (1, 1):
            raise not_spatial(self._wiring, call)
        index = int(class_index)
        assert self._network_info.target_kind is not None
        target = Target(index, float(scores[index]), self._network_info.target_kind, float(value))
        return LayerGradients(call.site.path, activations, gradients, target, Scores(scores))


def find_sources(wiring: Wiring, head: Head) -> set[Value]:
    """The tensors that the logits are made from, or the scores where there are none."""
    return wiring.ancestors(head.call.inputs[0] if head.call is not None else head.value)


def find_waypoint(wiring: Wiring, sources: set[Value], default_layer: str | None) -> Call:
    """Where scores are computed from: at the default layer, so that its heat map needs no second forward pass."""
    call = wiring.by_path[default_layer] if default_layer else None
    return wiring.inputs[0].call if call is None or sources.isdisjoint(call.outputs) else call


def _batch(arrays: Sequence[Array]) -> tf.Tensor:
    """One tensor, batch first. A single array is not copied twice."""
    return tf.constant(arrays[0][None] if len(arrays) == 1 else np.stack(arrays))
