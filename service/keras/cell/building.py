"""A network taken apart into a configuration and arrays, and put together again from nothing else."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

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
from service.keras.files.admission.limits import MODEL_FILE_LIMITS, ModelFileLimits, Stored
from service.keras.files.admission.trusted_classes import custom_objects, import_trusted
from service.keras.files.admission.weight_budget import WeightBudget
from service.keras.files.fresh_names import with_fresh_names
from service.keras.files.keras_settings import unchanged_settings
from service.keras.files.loading import prove
from service.keras.files.reasons import first_line
from service.keras.graph.replay import graph_of, plainly, replay

# Of noise, where a network takes any size.
_OPEN_SIDE: Final = 224


def take_apart(network: keras.Model, limits: ModelFileLimits = MODEL_FILE_LIMITS) -> Contents:
    """Its configuration, with names that are allowed alone, and its weights in order. Raises ModelFailedError."""
    trusted = import_trusted(limits.trusted_packages)
    text = json.dumps(_without_training(keras.saving.serialize_keras_object(network)))
    config = json.loads(text)
    require_allowed(config, is_archive=True, trusted=trusted)
    contents = Contents(config=text, weights=tuple(map(_describe, network.weights)))
    if trusted.are_in(config):
        _require_same_again(network, contents, limits)
    return contents


def build_probe(
    parcel: Parcel, overrides: Overrides, name: str, *, tuning: Tuning, limits: ModelFileLimits
) -> KerasProbe:
    """What `load_probe` makes of a file called `name`, of what a cell made of it. Raises ModelFailedError."""
    overrides = replace(overrides, decoder=None, latent_layer=parcel.contents.latent_layer)
    import_trusted(limits.trusted_packages)
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
    network = _build(contents, name, limits)
    for variable, (weight, array) in zip(network.weights, read_arrays(stream, contents), strict=True):
        dtype = tf.as_dtype(weight.dtype).as_numpy_dtype
        variable.assign(np.frombuffer(array, dtype).reshape(weight.shape))
    return network


def _build(contents: Contents, name: str, limits: ModelFileLimits) -> keras.Model:
    """The network with whatever weights it begins with."""
    config, trusted = _parse(contents.config), import_trusted(limits.trusted_packages)
    require_modest(config, Path(name), limits)
    objects = custom_objects(require_allowed(config, is_archive=True, trusted=trusted))
    budget = WeightBudget(Stored(sum(weight.numbers for weight in contents.weights)), limits)

    def build() -> keras.Model:
        with budget.kept():
            return keras.saving.deserialize_keras_object(config, custom_objects=objects, safe_mode=True)

    # Told now, as `from_config` may make objects of it.
    is_trusted = trusted.are_in(config)
    try:
        network = with_fresh_names(build) if is_trusted else build()
    except ModelFailedError:
        raise
    except Exception as error:
        raise ModelFailedError(f"Keras cannot build what it read from '{name}': {first_line(error)}") from error
    return _require_same(network, contents, is_trusted=is_trusted)


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenParcelError("the configuration is not JSON") from error


def _require_same(network: object, contents: Contents, *, is_trusted: bool) -> keras.Model:
    """Each weight by name, shape and type."""
    if not isinstance(network, keras.Model):
        raise BrokenParcelError("the configuration is that of no model")
    ours, theirs = tuple(map(_describe, network.weights)), contents.weights
    if is_trusted:
        # What a class of somebody's own makes within itself, Keras numbers through the whole process.
        ours, theirs = tuple(map(_unnumbered, ours)), tuple(map(_unnumbered, theirs))
    if ours != theirs:
        pairs = zip(ours, theirs, strict=False)
        found = next((f"{own} instead of {other}" for own, other in pairs if own != other), "their number")
        raise BrokenParcelError(f"other weights than those of the configuration: {found}")
    return network


def _require_same_again(network: keras.Model, contents: Contents, limits: ModelFileLimits) -> None:
    """That classes of a trusted package give back from their `get_config` what they were: the same answer to noise.

    What they do when they are built once more, they do here first.
    """
    advice = "mend its get_config and from_config, and save the model again"
    try:
        again = _build(contents, "it", limits)
    except BrokenParcelError as error:
        raise ModelFailedError(
            f"a class of a trusted package comes back as another network ({error}): {advice}"
        ) from error
    for own, other in zip(again.weights, network.weights, strict=True):
        own.assign(other)
    rng = np.random.default_rng(0)
    shapes = [[1, *(side or _OPEN_SIDE for side in symbol.shape[1:])] for symbol in graph_of(network).inputs]
    noise = [tf.constant(rng.random(shape, np.float32)) for shape in shapes]
    for before, after in zip(replay(network, noise, plainly), replay(again, noise, plainly), strict=True):
        if not np.array_equal(before, after, equal_nan=True):
            raise ModelFailedError(f"a class of a trusted package comes back with other answers: {advice}")


def _without_training(config: object) -> object:
    """Losses and optimizers left out, of models within it too: some are compiled by being made."""
    if isinstance(config, dict):
        return {key: _without_training(value) for key, value in config.items() if key != "compile_config"}
    return [_without_training(value) for value in config] if isinstance(config, list) else config


def _unnumbered(weight: Weight) -> Weight:
    return weight.model_copy(update={"name": re.sub(r"_\d+(?=/)", "", weight.name)})


def _describe(variable: keras.Variable) -> Weight:
    dtype = keras.backend.standardize_dtype(variable.dtype)
    # Keras counts variables that have no name of their own, as in LayerScale.
    name = "/".join(re.sub(r"^variable_\d+$", "variable", part) for part in variable.path.split("/")[-2:])
    return Weight(name=name, shape=tuple(variable.shape), dtype=dtype)
