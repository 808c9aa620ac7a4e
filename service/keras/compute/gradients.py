"""Gradients in float32 of what was computed in half precision, where small ones would vanish."""

from collections.abc import Sequence
from typing import Final

import tensorflow as tf

# Powers of two change no digit. In float16 what is below 6e-8 is zero and what is above 65,504 infinite: for each image
# the largest of these counts with which nothing overflows (Micikevicius et al. 2018, arXiv 1710.03740: loss scaling).
_SCALES: Final = (2.0**15, 2.0**8, 1.0)


def differentiate(values: tf.Tensor, tensor: tf.Tensor, *, stopped: Sequence[tf.Tensor] = ()) -> tf.Tensor:
    """The gradient of each image's own of `values` (n,) with respect to `tensor` (n, …), in float32.

    Images of a batch do not mix in inference mode, so that it is the gradient of the sum. Zeros where nothing connects
    them, or only through those that are `stopped`. To be called while a graph is traced.
    """
    gradient = None
    for scale in _SCALES if _holds_half(values.graph) else (1.0,):
        seeds = [tf.fill(tf.shape(values), tf.cast(scale, values.dtype))]
        (found,) = tf.gradients(values, [tensor], grad_ys=seeds, stop_gradients=list(stopped))
        if found is None:
            return tf.zeros(tf.shape(tensor), tf.float32)
        found = tf.cast(found, tf.float32) / scale
        gradient = found if gradient is None else tf.where(_is_finite(gradient), gradient, found)
    return gradient


def _holds_half(graph: tf.Graph) -> bool:
    return any(output.dtype == tf.float16 for operation in graph.get_operations() for output in operation.outputs)


def _is_finite(gradient: tf.Tensor) -> tf.Tensor:
    """Of each image, in a shape that goes with all of its numbers."""
    return tf.reduce_all(tf.math.is_finite(gradient), axis=list(range(1, gradient.shape.rank)), keepdims=True)
