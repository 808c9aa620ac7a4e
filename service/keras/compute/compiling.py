"""Python to compiled graphs, and what may go wrong when they run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from service.engine.arrays import Array
from service.errors import ComputationFailedError, NotFiniteError
from service.keras.compute.custom_gradients import forgotten_gradients
from service.keras.compute.traces import Built

ConcreteFunction: TypeAlias = tf.types.experimental.ConcreteFunction


def compile_graph(function: Callable[..., object], *signature: tf.TensorSpec) -> ConcreteFunction:
    # AutoGraph would rewrite the walker; a concrete function never retraces.
    with forgotten_gradients():
        return tf.function(function, autograph=False).get_concrete_function(*signature)


def built(function: ConcreteFunction, kernel_bytes: int = 0) -> Built[ConcreteFunction]:
    """A graph with what it holds: kernels as constants, of so many bytes, and its operations."""
    return Built(function, kernel_bytes, count_operations(function))


def count_operations(function: ConcreteFunction) -> int:
    """Those of loops within it not counted."""
    return len(function.graph.get_operations())


def require_finite(path: str, *answers: Array) -> None:
    """Raise NotFiniteError where a layer answers NaN or infinity: means and ranks would look like any others."""
    if not all(np.isfinite(answer).all() for answer in answers):
        raise NotFiniteError(
            f"layer '{path}' answers NaN or infinity: check the network's weights and its preprocessing"
        )


@contextmanager
def computing(shape: tuple[int, ...]) -> Iterator[None]:
    """Raise ComputationFailedError where TensorFlow gives up on a batch of images of (h, w, c)."""
    height, width = shape[:2]
    try:
        yield
    except tf.errors.UnimplementedError as error:
        # Not this picture's fault: convolutions in channels_first, say, that a processor does not know.
        raise ComputationFailedError(
            f"TensorFlow cannot compute this network on this machine: {_first_words(error)}"
        ) from error
    except tf.errors.ResourceExhaustedError as error:
        raise ComputationFailedError(
            f"there is not memory enough to compute a picture of {height} x {width}: send a smaller one"
        ) from error
    except tf.errors.OpError as error:
        raise ComputationFailedError(
            f"the network fails on a picture of {height} x {width} ({type(error).__name__}: {_first_words(error)}); "
            "another size may do where its input is open: set input_size in model.toml"
        ) from error


def _first_words(error: tf.errors.OpError) -> str:
    """What TensorFlow says, without the names of its nodes."""
    lines = [line.strip() for line in str(error.message).splitlines() if line.strip()]
    plain = next((line for line in lines if not line.startswith("Detected at node")), "")
    return plain.partition(" [[")[0][:200]
