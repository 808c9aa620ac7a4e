"""Layers of somebody's own that begin with a convolution of the picture, as a transformer's patches do: looked into.

Behind such a layer there are rows of tokens, and no maps. Its convolution is a layer of Keras within it, which makes
the last that there are. So that it can be asked for, it is a call of its own, and the rest of the layer another.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import keras
import numpy as np

from service.keras.graph.axes.kinds import is_keras_own

# Beside its own attributes, where it goes when the layer does.
_NOTE: Final = "_convscope_stem"
_CONVOLUTIONS: Final = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


@dataclass(frozen=True)
class Stem:
    """`rest` takes what `first` makes of the layer's input; its symbol is `maps`. The layer itself is as it was."""

    first: keras.Layer
    rest: keras.Layer
    maps: keras.KerasTensor


def find_stem(operation: keras.Operation, given: keras.KerasTensor, made: keras.KerasTensor) -> Stem | None:
    """Of an operation between two symbols; None where it is none of those layers. Runs it, the first time."""
    if is_keras_own(operation) or len(given.shape) != 4 or len(made.shape) != 3 or None in given.shape[1:]:
        return None
    noted = vars(operation)
    if _NOTE not in noted:
        noted.setdefault(_NOTE, _look(operation, given))
    stem: Stem | None = noted[_NOTE]
    return stem


def _look(layer: keras.Operation, given: keras.KerasTensor) -> Stem | None:
    image = np.random.default_rng(0).random((1, *given.shape[1:]), np.float32)
    for name, first in vars(layer).items():
        if not isinstance(first, _CONVOLUTIONS) or not is_keras_own(first):
            continue
        rest = _without(layer, name, first)
        # A convolution that is given something else cannot be run so, or gives something else.
        with suppress(Exception):
            whole, parts = layer(image, training=False), rest(first(image), training=False)
            if np.array_equal(whole, parts):
                shape = first.compute_output_shape(given.shape)
                return Stem(first, rest, keras.KerasTensor(shape, first.compute_dtype))
    return None


def _without(layer: keras.Operation, name: str, first: keras.Layer) -> keras.Layer:
    """A twin that shares everything with the layer, and takes the output of one within it for its own input."""
    twin = object.__new__(type(layer))
    inner = [each for each in vars(layer)["_layers"] if each is not first]
    vars(twin).update(vars(layer) | {name: _pass_on, "_layers": inner})
    return twin


def _pass_on(values: object, *_: object, **__: object) -> object:
    return values
