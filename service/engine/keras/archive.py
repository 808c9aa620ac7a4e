"""Reading a model file's configuration, as plain JSON, before Keras sees it: its format, and whether it is too large.

Which names it may hold is `configuration`'s to say.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import h5py

from service.errors import ModelFailedError

Format = Literal["keras", "hdf5"]

MAX_CONFIG_BYTES = 64 * 2**20
MAX_LAYERS = 5_000
# Keras builds a Sequential anew with each layer: 300 take 10 s, 1,000 two minutes and then fail in a recursion.
MAX_SEQUENTIAL_LAYERS = 300


def inspect(path: Path) -> Format:
    """Tell the format by content and refuse what cannot be loaded. Raises ModelFailedError."""
    file_format = _format(path)
    config = read_config(path, file_format)
    layers = 0
    for entry in _entries(config):
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


def read_config(path: Path, file_format: Format) -> Any:
    """The configuration in a file. Raises ModelFailedError where there is none."""
    return _keras_config(path) if file_format == "keras" else _hdf5_config(path)


def _hdf5_config(path: Path) -> Any:
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
