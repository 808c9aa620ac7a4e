"""A network taken apart into a configuration and arrays, and put together again from nothing else."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import keras
import numpy as np
import tensorflow as tf

from service.engine.ports.overrides import Overrides
from service.errors import ModelFailedError
from service.keras.cell.parcel import BrokenParcelError, Contents, Weight, read_arrays
from service.keras.cell.reading import Parcel
from service.keras.compute.probe import KerasProbe
from service.keras.compute.tuning import Tuning
from service.keras.files.admission.config_size import require_modest
from service.keras.files.admission.configuration import require_allowed
from service.keras.files.admission.limits import ModelFileLimits, Stored
from service.keras.files.admission.weight_budget import WeightBudget
from service.keras.files.keras_settings import unchanged_settings
from service.keras.files.loading import first_line, prove


def take_apart(network: keras.Model) -> Contents:
    """Its configuration, with names from the list alone, and its weights in order. Raises ModelFailedError."""
    text = json.dumps(keras.saving.serialize_keras_object(network))
    require_allowed(json.loads(text), is_archive=True)
    return Contents(config=text, weights=tuple(map(_describe, network.weights)))


def build_probe(
    parcel: Parcel, overrides: Overrides, name: str, *, tuning: Tuning, limits: ModelFileLimits
) -> KerasProbe:
    """What `load_probe` makes of a file called `name`, of what a cell made of it. Raises ModelFailedError."""
    overrides = replace(overrides, decoder=None, latent_layer=parcel.contents.latent_layer)
    with unchanged_settings():
        try:
            network = put_together(parcel.contents, parcel.stream, name, limits)
        except BrokenParcelError as error:
            raise ModelFailedError(f"what was read of '{name}' is not as it has to be: {error}") from error
        return prove(network, overrides, tuning=tuning, limits=limits, repairs=parcel.contents.repairs)


def put_together(contents: Contents, stream: BinaryIO, name: str, limits: ModelFileLimits) -> keras.Model:
    """The network of a parcel whose header was read. `name` is its file's. Raises ModelFailedError.

    The configuration goes through the list, and its sizes through the limits, as a stranger's does. Raises
    BrokenParcelError where the weights are not those that it asks for.
    """
    config = _parse(contents.config)
    require_modest(config, Path(name), limits)
    require_allowed(config, is_archive=True)
    budget = WeightBudget(Stored(sum(weight.numbers for weight in contents.weights)), limits)
    try:
        with budget.kept():
            network = keras.saving.deserialize_keras_object(config, safe_mode=True)
    except ModelFailedError:
        raise
    except Exception as error:
        raise ModelFailedError(f"Keras cannot build what it read from '{name}': {first_line(error)}") from error
    _require_same(network, contents)
    for variable, (weight, array) in zip(network.weights, read_arrays(stream, contents), strict=True):
        dtype = tf.as_dtype(weight.dtype).as_numpy_dtype
        variable.assign(np.frombuffer(array, dtype).reshape(weight.shape))
    return network


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenParcelError("the configuration is not JSON") from error


def _require_same(network: object, contents: Contents) -> None:
    """Each weight by name, shape and type."""
    if not isinstance(network, keras.Model):
        raise BrokenParcelError("the configuration is that of no model")
    ours = tuple(map(_describe, network.weights))
    if ours != contents.weights:
        pairs = zip(ours, contents.weights, strict=False)
        found = next((f"{own} instead of {other}" for own, other in pairs if own != other), "their number")
        raise BrokenParcelError(f"other weights than those of the configuration: {found}")


def _describe(variable: keras.Variable) -> Weight:
    dtype = keras.backend.standardize_dtype(variable.dtype)
    # Keras counts variables that have no name of their own, as in LayerScale.
    name = "/".join(re.sub(r"^variable_\d+$", "variable", part) for part in variable.path.split("/")[-2:])
    return Weight(name=name, shape=tuple(variable.shape), dtype=dtype)
