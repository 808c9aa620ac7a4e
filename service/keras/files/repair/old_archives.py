"""A `.keras` archive of Keras 2 to a network: its weights lie in other places than Keras 3 looks for them.

Both name a weight's place by the classes of the layers on the way to it, numbered in the model's order. Keras 2.12 to
2.14 counted layers that have weights twice, and the two do not always order a model's layers alike. So each layer's
weights are taken by the layer's name: from where Keras 2 put them to where Keras 3 wants them.
"""

import copy
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from service.errors import ModelFailedError
from service.keras.files.entries import Entry, config_of, layers_of, name_of
from service.keras.files.repair.model_edits import CLASS_IN_KERAS_2

_WEIGHTS: Final = "model.weights.h5"
_LAYERS, _OLD_LAYERS = "layers", "_layer_checkpoint_dependencies"
# Not of the network: what training keeps.
_TRAINING: Final = ("optimizer", "metrics")

# A layer by the names of the models that it lies in and its own.
Names = tuple[str, ...]


def load_old_archive(path: Path) -> keras.Model:
    """Load a mended archive of Keras 2. Raises ModelFailedError unless every stored array is used once."""
    with zipfile.ZipFile(path) as archive, TemporaryDirectory(prefix="convscope-", dir=path.parent) as folder:
        config = json.loads(archive.read("config.json"))
        # A copy, which Keras takes apart.
        network = keras.saving.deserialize_keras_object(
            copy.deepcopy(config) | {"compile_config": None}, safe_mode=True
        )
        stored, moved = Path(folder) / "stored.h5", Path(folder) / "moved.weights.h5"
        with archive.open(_WEIGHTS) as source, stored.open("wb") as target:
            shutil.copyfileobj(source, target)
        with h5py.File(stored, "r") as file:
            _require_tree(file)
            places = dict(_stored_places(config, file, ""))
            _move(file, moved, places, dict(_network_places(network, "")))
            network.load_weights(moved)
            _verify(network, file, places)
    return network


def _stored_places(entry: Entry, file: h5py.File, place: str) -> Iterator[tuple[Names, str]]:
    """Where Keras 2 put the weights of the layers of a model."""
    container = _OLD_LAYERS if f"{place}{_OLD_LAYERS}" in file else _LAYERS
    counts: dict[str, int] = {}
    for layer in layers_of(entry):
        if CLASS_IN_KERAS_2 not in layer:
            # Not in the file: an edit put it there.
            continue
        kind = _snake_case(layer[CLASS_IN_KERAS_2])
        own = f"{place}{container}/{_numbered(kind, counts.get(kind, 0))}"
        has_weights = container == _OLD_LAYERS and bool(_arrays(file, own))
        counts[kind] = counts.get(kind, 0) + (2 if has_weights else 1)
        inner = layer if layers_of(layer) else config_of(layer).get("layer")
        if isinstance(inner, dict) and layers_of(inner):
            own += "/" if inner is layer else "/layer/"
            yield from (((name_of(layer), *names), found) for names, found in _stored_places(inner, file, own))
        else:
            yield (name_of(layer),), own


def _network_places(model: keras.Model, place: str) -> Iterator[tuple[Names, str]]:
    """Where Keras 3 looks for the weights of the layers of a model."""
    counts: dict[str, int] = {}
    for layer in model.layers:
        kind = _snake_case(type(layer).__name__)
        own = f"{place}{_LAYERS}/{_numbered(kind, counts.get(kind, 0))}"
        counts[kind] = counts.get(kind, 0) + 1
        inner = layer if isinstance(layer, keras.Model) else getattr(layer, "layer", None)
        if isinstance(inner, keras.Model):
            own += "/" if inner is layer else "/layer/"
            yield from (((layer.name, *names), found) for names, found in _network_places(inner, own))
        else:
            yield (layer.name,), own


def _move(file: h5py.File, target: Path, places: dict[Names, str], wanted: dict[Names, str]) -> None:
    with h5py.File(target, "w") as moved:
        for names, place in places.items():
            if place in file and names in wanted:
                file.copy(place, moved, name=wanted[names])


def _verify(network: keras.Model, file: h5py.File, places: dict[Names, str]) -> None:
    """Raise ModelFailedError unless each layer has the arrays that the file has for it, and the file no others."""
    layers = dict(_leaves(network))
    for names, place in places.items():
        weights = [keras.ops.convert_to_numpy(weight) for weight in layers[names].weights] if names in layers else []
        if not _same([file[array] for array in _arrays(file, place)], weights):
            raise ModelFailedError(
                f"the weights of layer '{'/'.join(names)}' are not those of the file: save the model again as HDF5 "
                "(model.save('model.h5')) with the version that wrote it"
            )
    ours = {array for place in places.values() for array in _arrays(file, place)}
    left = [name for name in _arrays(file, "") if name not in ours and name.split("/")[0] not in _TRAINING]
    if left:
        raise ModelFailedError(f"the file has weights that no layer of its network takes: '{left[0]}'")
    if lacking := [names for names, layer in layers.items() if names not in places and layer.weights]:
        raise ModelFailedError(f"the file has no weights for layer '{'/'.join(lacking[0])}'")


def _leaves(model: keras.Model) -> Iterator[tuple[Names, keras.Layer]]:
    for layer in model.layers:
        inner = layer if isinstance(layer, keras.Model) else getattr(layer, "layer", None)
        if isinstance(inner, keras.Model):
            yield from (((layer.name, *names), leaf) for names, leaf in _leaves(inner))
        else:
            yield (layer.name,), layer


def _same(stored: list[h5py.Dataset], weights: list[NDArray[np.generic]]) -> bool:
    """Whether these are the same arrays, in whatever order."""
    left = [*stored]
    for weight in weights:
        match = next((index for index, array in enumerate(left) if _equal(weight, array)), None)
        if match is None:
            return False
        del left[match]
    # SpectralNormalization's kernel is filed twice.
    return all(any(_equal(weight, array) for weight in weights) for array in left)


def _equal(weight: NDArray[np.generic], array: h5py.Dataset) -> bool:
    # The shape first: what the file says of it may be anything.
    return weight.shape == array.shape and np.array_equal(
        weight, np.asarray(array).astype(weight.dtype), equal_nan=weight.dtype.kind == "f"
    )


def _arrays(file: h5py.File, place: str) -> list[str]:
    """The arrays below a group, by path."""
    if place and place not in file:
        return []
    found: list[str] = []
    group = file[place] if place else file
    group.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return [f"{place}/{name}" if place else name for name in found]


def _require_tree(file: h5py.File) -> None:
    """Refuse loops. What leads out of the file was refused before it came here (`stored_arrays`)."""
    waiting: list[h5py.Group] = [file]
    seen: set[int] = set()
    while waiting:
        group = waiting.pop()
        for name in group:
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                raise ModelFailedError(f"the weights have one thing in two places ('{name}')")
            seen.add(address)
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif not isinstance(item, h5py.Dataset):
                raise ModelFailedError(f"the weights have something that is no array ('{name}')")


def _numbered(kind: str, count: int) -> str:
    return f"{kind}_{count}" if count else kind


def _snake_case(class_name: str) -> str:
    """Keras's own rule for names."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", class_name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
