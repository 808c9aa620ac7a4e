"""Harmless model files, each like one that has done harm: what Keras would make of them leaves a trace in a folder.

The configuration is that of an honest network (`honest_model`) with one thing changed. `tests/vulnerabilities.py` says
which vulnerability each of `SAMPLES` stands for; those whose bytes are hostile stand in `tests/hostile_files.py`.
"""

import copy
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import keras
import tensorflow as tf
from keras import layers

Config = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """A folder with something to steal, and the file that appears where an attack has worked."""

    folder: Path

    @property
    def secret(self) -> Path:
        return self.folder / "secret.txt"

    @property
    def trace(self) -> Path:
        return self.folder / "trace.txt"


def honest_model(file: Path) -> Path:
    """Save a network with every place that a name can stand in."""
    inputs = keras.Input((6, 6, 1), name="input")
    maps = layers.Conv2D(2, 2, activation="relu", kernel_regularizer="l2", kernel_constraint="max_norm", name="conv")(
        inputs
    )
    maps = layers.TimeDistributed(layers.Dense(2, name="inner"), name="wrapped")(layers.Rescaling(2.0)(maps))
    scores = layers.Dense(2, name="scores")(layers.Flatten(name="flat")(layers.Activation("tanh", name="act")(maps)))
    keras.Model(inputs, scores, name="honest").save(file)
    return file


def read_config(file: Path) -> Config:
    with zipfile.ZipFile(file) as archive:
        config: Config = json.loads(archive.read("config.json"))
    return config


def replace_config(file: Path, config: Config, target: Path) -> Path:
    """The same archive with another configuration."""
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, json.dumps(config) if name == "config.json" else source.read(name))
    return target


def layer(config: Config, name: str) -> Config:
    """The entry of one layer."""
    found: Config = next(entry for entry in config["config"]["layers"] if entry["config"]["name"] == name)
    return found


def function(module: str, name: str) -> Config:
    """A function as Keras writes it."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def _call(config: Config, function_entry: Config, argument: object) -> Config:
    """Have the network call a function, with one argument, while Keras builds it."""
    entry = layer(config, "act")
    entry["config"]["activation"] = function_entry
    entry["inbound_nodes"].append({"args": [], "kwargs": {"inputs": argument}})
    return config


def _in_place_of(config: Config, name: str, class_name: str, arguments: Config) -> Config:
    """Have a layer be another one."""
    entry = layer(config, name)
    entry["class_name"] = class_name
    entry["config"] = {"name": name, **arguments}
    entry.pop("build_config", None)
    return config


def _from(module: str, name: str, config: Config) -> Config:
    """Have a layer's class come from another module."""
    layer(config, name)["module"] = module
    return config


def _saved_model(scene: Scene) -> str:
    """A SavedModel that copies the secret when it is loaded."""

    class Table(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self) -> Any:
            return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64, shared_name="table")

        def _initialize(self) -> None:
            tf.io.write_file(str(scene.trace), tf.io.read_file(str(scene.secret)))

    module = tf.Module()
    module.table = table = Table()

    @tf.function(input_signature=[tf.TensorSpec((None, 6, 6, 2), tf.float32)])  # type: ignore[untyped-decorator]
    def serve(maps: Any) -> Any:
        return maps + tf.cast(tf.raw_ops.LookupTableSizeV2(table_handle=table.resource_handle), tf.float32)

    module.serve = serve
    folder = scene.folder / "saved"
    tf.saved_model.save(module, str(folder))
    scene.trace.unlink(missing_ok=True)
    return str(folder)


def _lambda(scene: Scene) -> Config:
    """Python code that would write the trace; never compiled here, as no reader may come as far as that."""
    return {"function": {"class_name": "__lambda__", "config": {"code": f"open({str(scene.trace)!r}, 'w')"}}}


def _get_file(scene: Scene) -> Config:
    return {
        "class_name": "function",
        "module": "keras.utils",
        "config": "get_file",
        "registered_name": "get_file",
        "kwargs": {"origin": scene.secret.as_uri(), "extract": True, "cache_dir": str(scene.folder)},
    }


# Configuration before and after, by a name of what it tries.
SAMPLES: Final[dict[str, Callable[[Config, Scene], Config]]] = {
    # An Activation whose function is a layer that opens a SavedModel: not guarded in Keras 3.15.1.
    "tfsm-as-function": lambda config, scene: _call(config, function("keras.layers", "TFSMLayer"), _saved_model(scene)),
    "tfsm-layer": lambda config, scene: _in_place_of(
        config, "act", "TFSMLayer", {"filepath": _saved_model(scene), "call_endpoint": "serve"}
    ),
    "image-data-format": lambda config, _: _call(
        config, function("keras.config", "set_image_data_format"), "channels_first"
    ),
    "floatx": lambda config, _: _call(config, function("keras.config", "set_floatx"), "float64"),
    "epsilon": lambda config, _: _call(config, function("keras.config", "set_epsilon"), 0.5),
    "lambda-by-another-module": lambda config, scene: _from(
        "keras", "act", _in_place_of(config, "act", "layers.Lambda", _lambda(scene))
    ),
    "lambda": lambda config, scene: _in_place_of(config, "act", "Lambda", _lambda(scene)),
    "lambda-in-wrapper": lambda config, scene: _wrap(config, _lambda(scene)),
    "get-file": lambda config, scene: _call(config, _get_file(scene), scene.secret.as_uri()),
    "any-module": lambda config, scene: _call(config, function("os", "system"), f"touch {scene.trace}"),
    "get-file-in-arguments": lambda config, scene: _argument(config, _get_file(scene)),
    "unsafe-deserialization": lambda config, _: _argument(
        config, function("keras.config", "enable_unsafe_deserialization")
    ),
    "vocabulary": lambda config, scene: _in_place_of(config, "act", "StringLookup", {"vocabulary": str(scene.secret)}),
    "extract": lambda config, scene: _call(config, _get_file(scene), scene.secret.as_uri()),
    "extract-as-initializer": lambda config, scene: _initialize(config, _get_file(scene)),
    "torch-module": lambda config, scene: _in_place_of(
        config, "act", "TorchModuleWrapper", {"module": {"class_name": "__bytes__", "config": {"value": str(scene)}}}
    ),
}


def _wrap(config: Config, arguments: Config) -> Config:
    inner = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "trick", **arguments}}
    layer(config, "wrapped")["config"]["layer"] = inner
    return config


def _argument(config: Config, entry: Config) -> Config:
    layer(config, "flat")["inbound_nodes"][0]["kwargs"]["mask"] = entry
    return config


def _initialize(config: Config, entry: Config) -> Config:
    layer(config, "conv")["config"]["kernel_initializer"] = entry
    return config


def make_sample(name: str, honest: Path, scene: Scene) -> Path:
    """The sample as a `.keras` archive in the scene's folder."""
    config = SAMPLES[name](copy.deepcopy(read_config(honest)), scene)
    return replace_config(honest, config, scene.folder / f"{name}.keras")


def make_hdf5_sample(name: str, honest: Path, scene: Scene) -> Path:
    """The same configuration in an HDF5 file, whose reader knows no safe mode (CVE-2025-9905)."""
    config = SAMPLES[name](copy.deepcopy(read_config(honest)), scene)
    file = scene.folder / f"{name}.h5"
    with h5py.File(file, "w") as hdf5:
        hdf5.attrs["model_config"] = json.dumps(config)
        hdf5.attrs["keras_version"] = "3.15.1"
        hdf5.create_group("model_weights").attrs["layer_names"] = []
    return file
