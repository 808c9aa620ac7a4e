"""Compiled: an autoencoder cut in two at its latent."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import keras
import numpy as np
import tensorflow as tf

from service.engine.arrays import Array
from service.engine.ports.network_info import Latent
from service.errors import MethodUnavailableError
from service.keras.compute.compiling import ConcreteFunction, built, compile_graph, computing, require_finite
from service.keras.compute.memory_budget import MemoryBudget
from service.keras.compute.traces import Built, Traces
from service.keras.graph.bottleneck import NoCodeError, find_decoded, find_latent
from service.keras.graph.replay import Call, Value, Wiring, graph_of
from service.keras.graph.subgraph import compute_subgraph, find_subgraph
from service.keras.graph.upright import turn, turn_back, upright_shape

# Pictures that are decoded together.
_BATCH: Final = 16


@dataclass(frozen=True)
class Coding:
    """The halves of a network: up to its latent, and from there to the picture. Without a latent, `reason` says why."""

    network: keras.Model
    wiring: Wiring
    traces: Traces
    latent: Latent | None
    value: Value | None
    reason: str | None
    memory: MemoryBudget

    def encode(self, images: Array) -> Array:
        """See Probe."""
        self._require()
        trace = self.traces.get("encode", lambda: built(compile_graph(self._encode, self._pictures())))
        with computing(images[0].shape):
            latents = np.concatenate(
                [trace(tf.constant(images[part])).numpy() for part in self.memory.parts_of(images)]
            )
        require_finite(self.latent.layer if self.latent else "", latents)
        return latents

    def decode(self, latents: Array) -> Array:
        """See Probe."""
        latent, _ = self._require()
        spec = tf.TensorSpec([None, latent.units], tf.float32)
        trace = self.traces.get("decode", lambda: built(compile_graph(self._decode, spec)))
        picture = tuple(size or 1 for size in upright_shape(find_decoded(self.wiring))[1:])
        parts = self.memory.parts(len(latents), picture, _BATCH)
        with computing(picture):
            pictures = np.concatenate([trace(tf.constant(latents[part])).numpy() for part in parts])
        require_finite(find_decoded(self.wiring).call.site.path, pictures)
        return pictures

    def unit_gradients(self, images: Array, call: Call, units: Sequence[int]) -> Array:
        """See Probe."""

        def build() -> Built[ConcreteFunction]:
            numbers = tf.TensorSpec([None], tf.int32)
            return built(compile_graph(partial(self._differentiate, call.outputs[0]), self._pictures(), numbers))

        trace = self.traces.get(("unit gradients", call.site), build)
        parts = self.memory.parts_of(images)
        with computing(images[0].shape):
            means = [trace(tf.constant(images[part]), tf.constant(units, tf.int32)).numpy() for part in parts]
        require_finite(call.site.path, *means)
        return np.average(means, axis=0, weights=[len(images[part]) for part in parts]).astype(np.float32)

    def _differentiate(self, value: Value, images: tf.Tensor, units: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(images)
            answers = tf.reshape(turn(value, self._reach(images, value)), [tf.shape(images)[0], -1])
            wanted = tf.reduce_mean(tf.gather(answers, units, axis=1), axis=0)
        # One unit after the other: at once they would take the memory of as many passes.
        jacobian = tape.jacobian(wanted, images, experimental_use_pfor=False)
        return tf.reduce_sum(jacobian, axis=1)

    def _encode(self, images: tf.Tensor) -> tf.Tensor:
        latent, value = self._require()
        return tf.reshape(turn(value, self._reach(images, value)), [-1, latent.units])

    def _decode(self, latents: tf.Tensor) -> tf.Tensor:
        latent, value = self._require()
        decoded = find_decoded(self.wiring)
        given = turn_back(value, tf.reshape(latents, [-1, *latent.shape]))
        (picture,) = compute_subgraph(self.network, self.wiring, find_subgraph([value], [decoded]), [given])
        return tf.cast(turn(decoded, picture), tf.float32)

    def _reach(self, images: tf.Tensor, value: Value) -> tf.Tensor:
        symbol = graph_of(self.network).inputs[0]
        part = find_subgraph(self.wiring.inputs, [value])
        (tensor,) = compute_subgraph(self.network, self.wiring, part, [tf.cast(images, symbol.dtype)])
        return tf.cast(tensor, tf.float32)

    def _pictures(self) -> tf.TensorSpec:
        return tf.TensorSpec([None, *self.wiring.inputs[0].shape[1:]], tf.float32)

    def _require(self) -> tuple[Latent, Value]:
        if self.latent is None or self.value is None:
            raise MethodUnavailableError(f"this network is no autoencoder: {self.reason}")
        return self.latent, self.value


def find_coding(
    network: keras.Model, wiring: Wiring, traces: Traces, stated: Call | None, memory: MemoryBudget
) -> Coding:
    """Cut a network at its latent; `stated` is the layer that its owner says holds it."""
    try:
        latent, value = find_latent(wiring, stated)
    except NoCodeError as error:
        return Coding(network, wiring, traces, None, None, str(error), memory)
    return Coding(network, wiring, traces, latent, value, None, memory)
