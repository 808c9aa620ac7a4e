"""A function of `keras.applications` to a KerasProbe that has run once."""

from math import prod
from pathlib import Path
from zlib import crc32

import h5py
import keras
import numpy as np

from service.errors import ModelFailedError
from service.keras.compute.probe import KerasProbe
from service.keras.compute.tuning import UNTUNED, Tuning
from service.keras.files.fresh_names import with_fresh_names
from service.keras.files.loading import run_once
from service.keras.files.reasons import first_line

RANDOM = "the weights are random, not trained: scores and maps mean nothing"


def load_application(
    function: str, *, weights: Path | None = None, side: int | None = None, tuning: Tuning = UNTUNED
) -> KerasProbe:
    """Build `keras.applications.<function>` with ImageNet's weights or, without a file, with random ones.

    `weights` must lie in Keras's cache, from where Keras takes it: to build from a path is not the same, as
    EfficientNet's graph has one layer more with "imagenet". `side` is the picture's, where Keras leaves it open.
    Raises ModelFailedError.
    """
    if weights is not None and not h5py.is_hdf5(weights):
        raise ModelFailedError(f"'{weights.name}' is not an HDF5 file")
    build = getattr(keras.applications, function)
    shape = (side, side, 3) if side else None
    try:
        network = with_fresh_names(lambda: build(weights="imagenet" if weights else None, input_shape=shape))
    except Exception as error:
        reason = first_line(error).replace(str(weights), weights.name if weights else "")
        raise ModelFailedError(f"Keras cannot build '{function}': {reason}") from error
    if weights is None:
        _randomize(network, seed=crc32(function.encode()))
    probe = KerasProbe(network, tuning=tuning, repairs=() if weights else (RANDOM,))
    run_once(probe)
    return probe


def _randomize(network: keras.Model, *, seed: int) -> None:
    """Draw the kernels anew: Keras's own seed belongs to the whole process."""
    rng = np.random.default_rng(seed)
    for weight in network.trainable_weights:
        if "kernel" in weight.name:
            shape = tuple(weight.shape)
            depthwise = "depthwise" in weight.path or "dwconv" in weight.path
            inputs = prod(shape[:2] if depthwise else shape[:-1])
            weight.assign(rng.standard_normal(shape, np.float32) * np.float32(inputs**-0.5))
