"""Proof that a network loaded from HDF5 has the weights of its file: each array by name, shape and value.

Keras assigns them by position, and two layers of the same shape that changed places would go unnoticed.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import NamedTuple

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from service.errors import ModelFailedError
from service.keras.files.repair.model_edits import without_slashes

# What older versions, and Keras 2 for one layer, called these variables.
_OLD_NAMES = {
    "kernel": ("depthwise_kernel", "W"),
    "bias": ("b",),
    "moving_mean": ("running_mean",),
    # Keras 1 kept the variance under this name.
    "moving_variance": ("running_std",),
    # Keras 3's LayerScale does not name its only one.
    "variable": ("Variable", "gamma"),
}


class _Stored(NamedTuple):
    name: str
    array: NDArray[np.generic]


def verify_weights(network: keras.Model, path: Path) -> None:
    """Raise ModelFailedError unless every stored array is in the layer that it is named after, and none is missing.

    `path` is the HDF5 file that Keras has read, so that its arrays are known to be of reasonable size.
    """
    found: set[int] = set()
    with h5py.File(path, "r") as file:
        layers = {layer.name: layer for layer in network.layers}
        for group in _names(file["model_weights"], "layer_names"):
            arrays = list(_arrays(file["model_weights"][group]))
            layer = layers.get(group) or layers.get(without_slashes(group))
            if layer is None and arrays:
                raise ModelFailedError(f"the file has weights for a layer '{group}', which is not in its network")
            found |= _match(arrays, layer.weights if layer is not None else [], group)
    if missing := [weight.path for weight in network.weights if id(weight) not in found]:
        raise ModelFailedError(f"the file has no weights for '{missing[0]}' ({len(missing)} missing): save it again")


def _match(arrays: Sequence[_Stored], weights: Sequence[keras.Variable], group: str) -> set[int]:
    """The weights, by id, that hold the stored arrays of one layer or nested model."""
    found: set[int] = set()
    for name, array in arrays:
        likeness = [_likeness(name, weight) for weight in weights]
        best = max(likeness, default=0)
        candidates = [weight for weight, degree in zip(weights, likeness, strict=True) if degree == best > 0]
        match = next((weight for weight in candidates if id(weight) not in found and _same(weight, array)), None)
        if match is None:
            raise ModelFailedError(
                f"the weights '{name}' of layer '{group}' are not where the network expects them: "
                "the file is damaged or its layers are out of order; save the model again"
            )
        found.add(id(match))
    return found


def _likeness(stored: str, weight: keras.Variable) -> int:
    """0 for a variable of another kind; more for the same kind, and the more the longer the layer's name that fits."""
    *owners, name = weight.path.split("/")
    # Keras counts variables that have no name of their own: `variable_7`.
    kinds = (name, *_OLD_NAMES.get(re.sub(r"^variable_\d+$", "variable", name), ()))
    place, _, last = stored.rpartition("/")
    if not place:
        # Keras 1 wrote `dense_1_W`.
        last = next((kind for kind in kinds if stored.endswith(f"_{kind}")), stored)
        place = stored.removesuffix(last).removesuffix("_")
    if last not in kinds:
        return 0
    # Names of layers may differ from those in the file: Keras 2 numbered a network anew when it was loaded twice.
    fits = owners and f"_{without_slashes(place)}".endswith(f"_{owners[-1]}")
    return 1 + (len(owners[-1]) if fits else 0)


def _same(weight: keras.Variable, array: NDArray[np.generic]) -> bool:
    values = keras.ops.convert_to_numpy(weight)
    return values.shape == array.shape and np.array_equal(values, array.astype(values.dtype), equal_nan=True)


def _arrays(group: h5py.Group) -> Iterator[_Stored]:
    for name in _names(group, "weight_names"):
        yield _Stored(name.split(":")[0], np.asarray(group[name]))


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names, which Keras splits over several attributes where it is long."""
    parts = [attribute]
    if attribute not in group.attrs:
        parts = list(takewhile(group.attrs.__contains__, (f"{attribute}{index}" for index in count())))
    names = [name for part in parts for name in group.attrs[part]]
    return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in names]
