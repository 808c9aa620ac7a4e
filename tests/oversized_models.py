"""Model files that ask for far too much, harmless as long as they are refused: a few kilobytes each, made on the spot.

Each is what an attacker would send; none holds code. No tests.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Entry = dict[str, Any]
WEIGHTS = "model.weights.h5"


def layer(class_name: str, name: str, **config: Any) -> Entry:
    return {"module": "keras.layers", "class_name": class_name, "config": {"name": name, **config}}


def take(shape: list[int | None], key: str = "batch_shape") -> Entry:
    return layer("InputLayer", "input", **{key: shape})


def sequential(name: str, *layers: Entry) -> Entry:
    return {"module": "keras", "class_name": "Sequential", "config": {"name": name, "layers": list(layers)}}


def functional(name: str, layers: list[Entry], output: str, call: int = 0) -> Entry:
    config = {"name": name, "layers": layers, "input_layers": ["input", 0, 0], "output_layers": [output, call, 0]}
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}


def called(entry: Entry, *sources: tuple[str, int]) -> Entry:
    """A layer of a Functional model, called once on each of `sources`."""
    nodes = [{"args": [_symbol(*source)], "kwargs": {}} for source in sources]
    return {**entry, "name": entry["config"]["name"], "inbound_nodes": nodes}


def _symbol(name: str, call: int) -> Entry:
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, 4], "dtype": "float32", "keras_history": [name, call, 0]},
    }


def doubling(depth: int) -> Entry:
    """Models that call the model within them twice: 2 ** depth layers."""
    model = functional("m0", [called(take([None, 4])), called(layer("ReLU", "relu"), ("input", 0))], "relu")
    for level in range(1, depth):
        inner = f"m{level - 1}"
        model = functional(f"m{level}", [called(take([None, 4])), called(model, ("input", 0), (inner, 1))], inner, 2)
    return model


def backwards(count: int) -> Entry:
    """A chain whose last layer is listed first."""
    chain = [called(layer("ReLU", "r0"), ("input", 0))]
    chain += [called(layer("ReLU", f"r{number}"), (f"r{number - 1}", 0)) for number in range(1, count)]
    return functional("backwards", [*reversed(chain), called(take([None, 4]))], f"r{count - 1}")


def sequentials(count: int, length: int) -> Entry:
    """Five of 240 took Keras 40 s."""
    chains = [
        sequential(f"s{number}", take([None, 4]), *(layer("ReLU", f"r{step}") for step in range(length)))
        for number in range(count)
    ]
    return sequential("all", take([None, 4]), *chains)


def weights_file(arrays: dict[str, Any] | None = None, **options: Any) -> bytes:
    """An HDF5 file in memory; an array may be a shape, which is declared and never written."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, array in (arrays or {}).items():
            if isinstance(array, tuple):
                file.create_dataset(name, array, np.float32, **options)
            else:
                file.create_dataset(name, data=array, **options)
    return content.getvalue()


def write_archive(path: Path, config: Any, weights: bytes | None = None, **members: bytes) -> Path:
    """A `.keras` file; more `members` by name, `__` for `/`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", config if isinstance(config, str | bytes) else json.dumps(config))
        archive.writestr(WEIGHTS, weights_file() if weights is None else weights)
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return path


def write_hdf5(path: Path, config: Any, version: str = "2.15.0") -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version
        file.create_group("model_weights").attrs["layer_names"] = []
    return path
