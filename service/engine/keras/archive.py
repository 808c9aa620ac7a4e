"""Reading a model file's configuration before Keras sees it. Model files are code: this decides which may be loaded.

Keras ignored `safe_mode` for HDF5 files for years (CVE-2025-9905), so nothing is left to it: the configuration is read
as plain JSON and refused when it names a layer that carries code.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import h5py

from service.errors import ModelFailedError

Format = Literal["keras", "hdf5"]

# Each of these runs code, or a graph of unknown content, that came with the file.
CODE_CARRIERS = {"Lambda", "__lambda__", "TFOpLambda", "SlicingOpLambda", "TFSMLayer"}
MAX_CONFIG_BYTES = 64 * 2**20
MAX_LAYERS = 5_000
# Keras builds a Sequential anew with each layer: 300 take 10 s, 1,000 two minutes and then fail in a recursion.
MAX_SEQUENTIAL_LAYERS = 300


def inspect(path: Path) -> Format:
    """Tell the format by content and refuse what must not or cannot be loaded. Raises ModelFailedError."""
    file_format = _format(path)
    config = _keras_config(path) if file_format == "keras" else read_hdf5_config(path)
    layers = 0
    for entry in _entries(config):
        _refuse_code(entry)
        own = _layer_count(entry)
        layers += own
        if own > MAX_SEQUENTIAL_LAYERS and entry.get("class_name") == "Sequential":
            raise ModelFailedError(
                f"'{path.name}' has a Sequential of {own} layers; at most {MAX_SEQUENTIAL_LAYERS} are loaded: "
                "build it as a Functional model"
            )
    if layers > MAX_LAYERS:
        raise ModelFailedError(f"'{path.name}' has {layers} layers; at most {MAX_LAYERS} are loaded")
    return file_format


def read_hdf5_config(path: Path) -> Any:
    """The configuration in an HDF5 file. Raises ModelFailedError where there is none."""
    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        # h5py has one of these for each place where a file can be damaged.
        raise ModelFailedError(f"'{path.name}' is a damaged HDF5 file: copy it again") from error
    if config is None:
        raise ModelFailedError(
            f"'{path.name}' holds weights without a network: save the whole model with model.save('model.keras')"
        )
    if not isinstance(config, str | bytes) or len(config) > MAX_CONFIG_BYTES:
        raise ModelFailedError(f"'{path.name}' has a configuration that is no text, or over {MAX_CONFIG_BYTES} bytes")
    return _parse(config, path)


def _format(path: Path) -> Format:
    if zipfile.is_zipfile(path):
        return "keras"
    if h5py.is_hdf5(path):
        return "hdf5"
    with path.open("rb") as stream:
        if stream.read(2) == b"PK":
            raise ModelFailedError(f"'{path.name}' is a .keras archive that is cut off or damaged: copy it again")
    raise ModelFailedError(f"'{path.name}' is neither a .keras archive nor an HDF5 file: save it with model.save()")


def _keras_config(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > MAX_CONFIG_BYTES:
                raise ModelFailedError(f"'{path.name}' has a config.json of more than {MAX_CONFIG_BYTES} bytes")
            return _parse(archive.read("config.json"), path)
    except KeyError as error:
        raise ModelFailedError(f"'{path.name}' is a ZIP but no .keras archive: it has no config.json") from error
    except (zipfile.BadZipFile, OSError, NotImplementedError, EOFError) as error:
        raise ModelFailedError(f"'{path.name}' is a damaged .keras archive") from error


def _parse(text: str | bytes, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFailedError(f"'{path.name}' has a configuration that is not JSON") from error


def _entries(config: Any) -> Iterator[dict[str, Any]]:
    """Every object of the configuration, however deep; without recursion, as the file is not trusted."""
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _layer_count(entry: dict[str, Any]) -> int:
    config = entry.get("config")
    layers = config.get("layers") if isinstance(config, dict) else config
    # Before Keras 2.2.3 a Sequential's configuration was the list itself.
    return len(layers) if isinstance(layers, list) and "class_name" in entry else 0


def _refuse_code(entry: dict[str, Any]) -> None:
    class_name = entry.get("class_name")
    if class_name in CODE_CARRIERS:
        config = entry.get("config")
        name = config.get("name") if isinstance(config, dict) else None
        name = name or entry.get("name") or "unnamed"
        raise ModelFailedError(
            f"layer '{name}' is a Lambda ({class_name}): it carries code that would run on this server. "
            "Replace it by a Keras layer (Rescaling, Reshape, …) and save the model again"
        )
    module = entry.get("module")
    if isinstance(class_name, str) and isinstance(module, str) and module.split(".")[0] != "keras":
        raise ModelFailedError(
            f"'{class_name}' comes from the module '{module}', not from Keras: only Keras's own layers are loaded"
        )
