"""Compiled: how strongly every channel of a layer answers to pictures, and where most, reduced within the graph."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from service.engine.ports.answers import UnitActivations
from service.keras.compute.compiling import ConcreteFunction, built, compile_graph, require_finite
from service.keras.compute.folding import UNFOLDED, Folding
from service.keras.compute.traces import Built
from service.keras.graph.replay import Call, Wiring, graph_of
from service.keras.graph.subgraph import compute_subgraph, find_subgraph
from service.keras.graph.upright import turn


def trace_unit_activations(
    network: keras.Model, wiring: Wiring, call: Call, folding: Folding | None, max_bytes: int
) -> Built[ConcreteFunction]:
    """`(images,)` to the shape of a map, and three tensors (n, c): mean, greatest, and the place of that."""
    symbol = graph_of(network).inputs[0]
    part = find_subgraph(wiring.inputs, [call.outputs[0]])
    folded = folding.apply(part, max_bytes=max_bytes) if folding else UNFOLDED

    def compute(images: tf.Tensor) -> list[tf.Tensor]:
        (tensor,) = compute_subgraph(network, wiring, part, [tf.cast(images, symbol.dtype)], folded.operate())
        tensor = tf.cast(turn(call.outputs[0], tensor), tf.float32)
        answers = tf.reshape(tensor, [tf.shape(tensor)[0], -1, tensor.shape[-1]])
        return [
            tf.shape(tensor)[1:-1],
            tf.reduce_mean(answers, axis=1),
            tf.reduce_max(answers, axis=1),
            tf.argmax(answers, axis=1, output_type=tf.int32),
        ]

    return built(compile_graph(compute, tf.TensorSpec([None, *symbol.shape[1:]], tf.float32)), folded.bytes)


def join_unit_activations(path: str, answers: Sequence[Sequence[tf.Tensor]]) -> UnitActivations:
    """What a layer answered to all pictures, from the tensors of each part of them."""
    shape, *numbers = zip(*answers, strict=True)
    mean, greatest, place = (np.concatenate([part.numpy() for part in parts]) for parts in numbers)
    require_finite(path, mean, greatest)
    return UnitActivations(path, tuple(shape[0].numpy().tolist()), mean, greatest, place)
