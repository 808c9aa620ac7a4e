"""Compiled: what every channel of some layers answers to pictures, boiled down to a few numbers within the graph.

The maps themselves never leave TensorFlow: of a deep network they are a hundred megabytes a picture.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from service.engine.ports.answers import ChannelStatistics
from service.keras.compute.compiling import ConcreteFunction, built, compile_graph, require_finite
from service.keras.compute.folding import UNFOLDED, Folding
from service.keras.compute.traces import Built
from service.keras.graph.replay import Call, Wiring, graph_of
from service.keras.graph.subgraph import compute_subgraph, find_subgraph
from service.keras.graph.upright import turn


def trace_channel_statistics(
    network: keras.Model, wiring: Wiring, calls: Sequence[Call], folding: Folding | None, max_bytes: int
) -> Built[ConcreteFunction]:
    """`(images, signs)` to six tensors for each layer; see `ChannelStatistics`."""
    symbol = graph_of(network).inputs[0]
    part = find_subgraph(wiring.inputs, [call.outputs[0] for call in calls])
    folded = folding.apply(part, max_bytes=max_bytes) if folding else UNFOLDED

    def compute(images: tf.Tensor, signs: tf.Tensor) -> list[list[tf.Tensor]]:
        tensors = compute_subgraph(network, wiring, part, [tf.cast(images, symbol.dtype)], folded.operate())
        upright = [turn(call.outputs[0], tensor) for call, tensor in zip(calls, tensors, strict=True)]
        return [_gather_statistics(tf.cast(tensor, tf.float32), signs) for tensor in upright]

    pictures = tf.TensorSpec([None, *symbol.shape[1:]], tf.float32)
    return built(compile_graph(compute, pictures, tf.TensorSpec([None, None, None], tf.float32)), folded.bytes)


def join_channel_statistics(path: str, answers: Sequence[Sequence[tf.Tensor]]) -> ChannelStatistics:
    """What one layer answered to all pictures, from the tensors of each part of them."""
    positions, *by_picture, sketches = zip(*answers, strict=True)
    mean, greatest, least, zeros = (np.concatenate([part.numpy() for part in parts]) for parts in by_picture)
    sketch = sum(part.numpy() for part in sketches)
    # The others are made of the same numbers.
    require_finite(path, mean, greatest, least)
    return ChannelStatistics(path, int(positions[0]), mean, greatest, least, zeros, sketch)


def _gather_statistics(tensor: tf.Tensor, signs: tf.Tensor) -> list[tf.Tensor]:
    count, channels = tf.shape(tensor)[0], tensor.shape[-1]
    answers = tf.reshape(tensor, [count, -1, channels])
    zeros = tf.reduce_mean(tf.cast(tf.equal(answers, 0.0), tf.float32), axis=1)
    return [
        tf.shape(answers)[1],
        tf.reduce_mean(answers, axis=1),
        tf.reduce_max(answers, axis=1),
        tf.reduce_min(answers, axis=1),
        zeros,
        _sketch(answers, signs),
    ]


def _sketch(answers: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
    """(k, c): the sum over pictures of each one's signs times its answers, at positions spread evenly over the map."""
    positions, room = tf.shape(answers)[1], tf.shape(signs)[2]
    # Rows that are gathered are copied whole: twice as fast as a slice with a step.
    chosen = tf.gather(answers, tf.range(0, positions, tf.maximum(1, -(-positions // room))), axis=1)
    return tf.einsum("nkp,npc->kc", signs[:, :, : tf.shape(chosen)[1]], chosen)
