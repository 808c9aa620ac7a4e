"""Python to compiled graphs, and what may go wrong when they run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from service.engine.arrays import Array
from service.errors import ComputationFailedError, NotFiniteError


def compile_graph(function: Callable[..., Any], *signature: tf.TensorSpec) -> Any:
    # AutoGraph would rewrite the walker; a concrete function never retraces.
    return tf.function(function, autograph=False).get_concrete_function(*signature)


def require_finite(path: str, *answers: Array) -> None:
    """Raise NotFiniteError where a layer answers NaN or infinity: means and ranks would look like any others."""
    if not all(np.isfinite(answer).all() for answer in answers):
        raise NotFiniteError(
            f"layer '{path}' answers NaN or infinity: check the network's weights and its preprocessing"
        )


@contextmanager
def computing(image: Array) -> Iterator[None]:
    """Raise ComputationFailedError where TensorFlow gives up on a batch of such images."""
    try:
        yield
    except tf.errors.OpError as error:
        height, width = image.shape[:2]
        raise ComputationFailedError(
            f"the network cannot compute a picture of {height} x {width} ({type(error).__name__}): "
            "send a larger one, or set input_size in model.toml"
        ) from error
