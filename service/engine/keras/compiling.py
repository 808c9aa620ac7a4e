"""Python to compiled graphs, and running one on a single picture."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from service.engine.probe import Array
from service.errors import ComputationFailedError


def compile_graph(function: Callable[..., Any], *signature: tf.TensorSpec) -> Any:
    # AutoGraph would rewrite the walker; a concrete function never retraces.
    return tf.function(function, autograph=False).get_concrete_function(*signature)


def first_of_batch(trace: Callable[..., Any], image: Array, *others: Any) -> list[Any]:
    """Run a trace on one image and take its answers out of the batch. Raises ComputationFailedError."""
    try:
        return [answer.numpy()[0] for answer in trace(tf.constant(image[None]), *others)]
    except tf.errors.OpError as error:
        height, width = image.shape[:2]
        raise ComputationFailedError(
            f"the network cannot compute a picture of {height} x {width} ({type(error).__name__}): "
            "send a larger one, or set input_size in model.toml"
        ) from error
