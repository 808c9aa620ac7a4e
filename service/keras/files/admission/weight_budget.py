"""Keras builds no more weights than a model file holds: each is counted when it is about to be made.

TensorFlow tells who creates a variable, before it has memory. So the sum is exact for every layer, those that take
their size from the graph included, and costs nothing; a configuration alone does not tell it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import getclosurevars
from math import prod

import tensorflow as tf

from service.errors import ModelFailedError
from service.keras.files.admission.limits import ModelFileLimits, Stored, shown


class WeightBudget:
    """For one file. Keras turns what is raised inside it into other errors, so that the reason is kept here."""

    def __init__(self, stored: Stored, limits: ModelFileLimits) -> None:
        self._stored = stored
        self._limits = limits
        self._numbers = self._bytes = 0
        self._reason: str | None = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever is built within counts. Raises ModelFailedError instead of what Keras made of it."""
        try:
            with tf.variable_creator_scope(self._create):
                yield
        except Exception as error:
            self._require_kept(error)
            raise
        self._require_kept(None)

    def _require_kept(self, cause: Exception | None) -> None:
        if self._reason is not None:
            raise ModelFailedError(self._reason) from cause

    def _create(self, create_next: Callable[..., tf.Variable], **arguments: object) -> tf.Variable:
        if self._reason is None:
            self._reason = self._count(arguments)
        if self._reason is not None:
            raise ModelFailedError(self._reason)
        return create_next(**arguments)

    def _count(self, arguments: Mapping[str, object]) -> str | None:
        """Add one variable up; a sentence where it is too much."""
        path, shape, itemsize = _describe(arguments)
        numbers = prod(shape)
        self._numbers += numbers
        self._bytes += numbers * itemsize
        what = f"'{shown(path)}' has {' x '.join(map(str, shape))} weights"
        if not self._stored.holds(self._numbers):
            return (
                f"{what}, with which the network has {self._numbers}, but the file holds {self._stored.numbers}: "
                "call the network once, then save it again with model.save()"
            )
        if self._bytes > self._limits.weight_bytes:
            return (
                f"{what}, with which the network takes {self._bytes} bytes; at most {self._limits.weight_bytes} are "
                "loaded (CONVSCOPE_LIMITS__MODEL_WEIGHT_BYTES)"
            )
        return None


def _describe(arguments: Mapping[str, object]) -> tuple[str, tuple[int, ...], int]:
    """Path, shape and bytes of each number of a variable to be."""
    value: tf.Tensor | Callable[[], tf.Tensor] = arguments["initial_value"]
    if not callable(value):
        # It has its memory already.
        return str(arguments.get("name")), tuple(value.shape), value.dtype.size
    # Keras's own initial value knows which of its variables it is for.
    variable = getclosurevars(value).nonlocals.get("self")
    if variable is None:
        with tf.Graph().as_default():
            value = value()
        return str(arguments.get("name")), tuple(value.shape), value.dtype.size
    return variable.path, tuple(variable.shape), tf.as_dtype(variable.dtype).size
