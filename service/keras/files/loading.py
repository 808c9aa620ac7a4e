"""A model file to a KerasProbe that has run once."""

import os
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import keras
import tensorflow as tf

from service.engine.ports.overrides import NO_OVERRIDES, Overrides
from service.errors import ConvscopeError, ModelFailedError
from service.keras.compute.probe import KerasProbe
from service.keras.compute.tuning import UNTUNED, Tuning
from service.keras.files.admission.configuration import NameRefusedError, require_allowed
from service.keras.files.admission.first_pass import OPEN_SIZE, require_affordable_pass
from service.keras.files.admission.limits import MODEL_FILE_LIMITS, ModelFileLimits
from service.keras.files.admission.trusted_classes import custom_objects, import_trusted
from service.keras.files.admission.trusted_names import InModule, TrustedNames
from service.keras.files.admission.weight_budget import WeightBudget
from service.keras.files.archive import Format, inspect, read_config
from service.keras.files.fresh_names import with_fresh_names
from service.keras.files.joining import join
from service.keras.files.keras_settings import unchanged_settings
from service.keras.files.preset_loading import open_preset
from service.keras.files.reasons import first_line
from service.keras.files.repair.hard_sigmoid import restore_hard_sigmoid
from service.keras.files.repair.old_archives import load_old_archive
from service.keras.files.repair.readable import is_old, keras_version, readable
from service.keras.files.stored_weights import verify_weights
from service.keras.graph.replay import functional


class Opened(NamedTuple):
    """A network that has not run yet, what is stated of it now, and what had to be mended to read it."""

    network: keras.Model
    overrides: Overrides
    repairs: tuple[str, ...]


@cache
def configure_devices(threads: int = 0) -> None:
    """All cores (or so many threads) for one operation, one operation at a time: the fastest on small machines.

    A GPU's memory is taken as it is needed, as others may use it too. Has an effect only before TensorFlow's first
    operation.
    """
    with suppress(RuntimeError):  # TensorFlow has begun already
        tf.config.threading.set_intra_op_parallelism_threads(threads or len(os.sched_getaffinity(0)))
        tf.config.threading.set_inter_op_parallelism_threads(1)
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, enable=True)


def load_probe(
    path: Path,
    overrides: Overrides = NO_OVERRIDES,
    *,
    tuning: Tuning = UNTUNED,
    limits: ModelFileLimits = MODEL_FILE_LIMITS,
) -> KerasProbe:
    """Load a `.keras` or HDF5 file, or the folder of a preset, with its decoder if it has one; run the network once.

    What carries code is refused. Raises ModelFailedError with a reason that a user can act on.
    """
    import_trusted(limits.trusted_packages)
    with unchanged_settings():
        return _load_probe(path, overrides, tuning, limits)


def _load_probe(path: Path, overrides: Overrides, tuning: Tuning, limits: ModelFileLimits) -> KerasProbe:
    opened = open_files(path, overrides, limits)
    return prove(opened.network, opened.overrides, tuning=tuning, limits=limits, repairs=opened.repairs)


def open_files(path: Path, overrides: Overrides, limits: ModelFileLimits) -> Opened:
    """Read, mend and check the weights of a file, with its decoder if it has one. Raises ModelFailedError."""
    network, repairs = _open(path, overrides.input_size, limits)
    if overrides.decoder is not None:
        network, overrides, more = _join(network, overrides, overrides.decoder, limits)
        repairs += more
    return Opened(network, overrides, repairs)


def prove(
    network: keras.Model,
    overrides: Overrides,
    *,
    tuning: Tuning,
    limits: ModelFileLimits,
    repairs: tuple[str, ...] = (),
) -> KerasProbe:
    """A probe of a network that was read, and has run once within the limits. Raises ModelFailedError."""
    if functional(network) is None:
        raise ModelFailedError(
            f"'{type(network).__name__}' is a subclassed model, whose layers cannot be followed: "
            "rebuild it as a Functional or Sequential model"
        )
    require_affordable_pass(network, overrides.input_size, limits)
    _require_finite(network)
    try:
        probe = KerasProbe(network, overrides=overrides, tuning=tuning, repairs=repairs)
    except ModelFailedError:
        raise
    except ConvscopeError as error:
        raise ModelFailedError(f"model.toml: default_layer: {error.detail}") from error
    run_once(probe, overrides.input_size)
    return probe


def run_once(probe: KerasProbe, input_size: tuple[int, int] | None = None) -> None:
    """Prove that the network runs. Raises ModelFailedError."""
    try:
        probe.run_once(input_size or OPEN_SIZE)
    except Exception as error:
        if (size := probe.batch_size or 1) > 1:
            raise ModelFailedError(
                f"the network takes {size} pictures at once and fails on one: leave the batch size open "
                "(batch_size=None) and save it again"
            ) from error
        raise ModelFailedError(f"the network loads but does not run: {first_line(error)}") from error


def _require_finite(network: keras.Model) -> None:
    """A compiled ReLU makes 0 of NaN: a network that is broken would answer, and be sure of it."""
    for weight in network.weights:
        values = tf.convert_to_tensor(weight)
        if values.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(values)):
            raise ModelFailedError(
                f"the weights '{weight.path}' hold NaN or infinity: the training has diverged; save an earlier state"
            )


def _open(
    path: Path, input_size: tuple[int, int] | None, limits: ModelFileLimits
) -> tuple[keras.Model, tuple[str, ...]]:
    """The file's network with its graph, and what had to be mended to read it."""
    if path.is_dir():
        return open_preset(path, limits), ()
    file_format, stored = inspect(path, limits)
    budget = WeightBudget(stored, limits)
    try:
        with readable(path, file_format, limits) as (file, repairs):
            network = _read(file, path, file_format, budget, limits)
            if file_format == "hdf5":
                verify_weights(network, file)
            more = restore_hard_sigmoid(network) if is_old(file) else ()
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            # Of the disk, not of the file: h5py's own have no number.
            raise
        kind = "HDF5 file" if file_format == "hdf5" else ".keras archive"
        raise ModelFailedError(f"'{path.name}' is a damaged {kind}: copy it again") from error
    with budget.kept():
        _build(network, input_size)
    return network, (*repairs, *more)


def _read(file: Path, path: Path, file_format: Format, budget: WeightBudget, limits: ModelFileLimits) -> keras.Model:
    """Let Keras read `file`, which is `path` or a mended copy of it, once all names in it are known to be allowed."""
    config, trusted = read_config(file, file_format, limits), import_trusted(limits.trusted_packages)
    objects = custom_objects(_require_allowed(config, file, file_format, trusted))

    def build() -> keras.Model:
        with budget.kept():
            return _load(file, path, objects)

    # What a class of somebody's own makes within itself often has no name of its own.
    return with_fresh_names(build) if trusted.are_in(config) else build()


def _require_allowed(config: object, file: Path, file_format: Format, trusted: TrustedNames) -> frozenset[InModule]:
    try:
        return require_allowed(config, is_archive=file_format == "keras", trusted=trusted)
    except NameRefusedError as error:
        raise ModelFailedError(error.detail + _advice(file)) from error


def _join(
    encoder: keras.Model, overrides: Overrides, file: Path, limits: ModelFileLimits
) -> tuple[keras.Model, Overrides, tuple[str, ...]]:
    """The network of both files, what is stated of it, and what had to be mended to read the decoder."""
    decoder, repairs = _open(file, None, limits)
    network, latent_layer = join(encoder, decoder, overrides.latent_layer)
    return network, replace(overrides, latent_layer=latent_layer), tuple(f"decoder: {repair}" for repair in repairs)


def _load(file: Path, path: Path, objects: dict[str, type]) -> keras.Model:
    try:
        if file.suffix == ".keras" and is_old(file):
            network = load_old_archive(file)
        else:
            network = keras.saving.load_model(file, custom_objects=objects, compile=False, safe_mode=True)
    except ModelFailedError:
        raise
    except RecursionError as error:
        raise ModelFailedError(f"the layers of '{path.name}' are chained or nested too deep for Keras") from error
    except Exception as error:
        # Keras raises anything at all here, TypeError and KeyError included; its sentences may hold the path.
        raise ModelFailedError(_explain(error, file, path)) from error
    if not isinstance(network, keras.Model):
        raise ModelFailedError(f"'{path.name}' holds a {type(network).__name__}, not a model")
    return network


def _build(network: keras.Model, input_size: tuple[int, int] | None) -> None:
    """Give an unbuilt Sequential its graph; its input is that of its first layer, or `input_size` with RGB."""
    if not isinstance(network, keras.Sequential) or network._functional is not None:
        return
    shape = next((layer.input_shape for layer in network.layers if hasattr(layer, "input_shape")), None)
    if shape is None and input_size is not None:
        shape = (None, *input_size, 3)
    if shape is None:
        raise ModelFailedError(
            "this Sequential model was never called and has no input shape: "
            "add an InputLayer and save it again, or set input_size in model.toml"
        )
    stored = len(network.weights)
    try:
        network.build(shape)
    except Exception as error:
        raise ModelFailedError(f"the network cannot be built for {shape}: {first_line(error)}") from error
    if len(network.weights) != stored:
        # Keras would fill them with random numbers and say nothing.
        raise ModelFailedError(
            "the file lacks the weights of some layers, as the model was never called: call it once, then save it"
        )


def _explain(error: Exception, file: Path, path: Path) -> str:
    """What Keras says, without the configuration that it quotes and the folders that it names; and what to do."""
    reason = str(error).rpartition("Exception encountered: ")[2]
    reason = first_line(error, reason, length=1000)
    for place in (file, path):
        reason = reason.replace(str(place), path.name).replace(f"{place.parent}/", "")
    return f"Keras cannot load '{path.name}': {reason[:300]}{_advice(file)}"


def _advice(file: Path) -> str:
    """What else may help, in brackets, for a file that is old."""
    if is_old(file):
        version = keras_version(file)
        way_out = "build the network with Keras 3, give it these weights and save it with model.save('model.keras')"
        if not version.startswith("2."):
            way_out = "save it again with a newer version"
        return f" (it was written by Keras {version}: {way_out})"
    return ""
