"""Making a model file readable to Keras 3 without touching it: edits on a temporary copy under the right name.

Keras tells formats by the file's name, and its HDF5 reader takes old configurations for new ones. Knows no networks
and imports no Keras: what stands in the file, not what becomes of it.
"""

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import h5py

from service.errors import ModelFailedError
from service.keras.files.admission.allowed_names import allowed_names
from service.keras.files.admission.limits import MODEL_FILE_LIMITS, ModelFileLimits
from service.keras.files.archive import Format, read_config
from service.keras.files.entries import Entry, config_of, layers_of, name_of, walk
from service.keras.files.repair.edits import Version, mend, mend_archive, mend_old_archive
from service.keras.files.repair.training_calls import require_inference

_SUFFIXES: dict[Format, tuple[str, ...]] = {"keras": (".keras",), "hdf5": (".h5", ".hdf5")}
_MAX_METADATA_BYTES = 2**16
_CONTENT: dict[Format, str] = {"keras": "a .keras archive", "hdf5": "HDF5"}


class Readable(NamedTuple):
    """A file that Keras 3 can read: the original or a copy of it. `repairs` are sentences for users."""

    path: Path
    repairs: tuple[str, ...]


@contextmanager
def readable(path: Path, file_format: Format, limits: ModelFileLimits = MODEL_FILE_LIMITS) -> Iterator[Readable]:
    """Give the file itself where it needs nothing, else a mended copy that is gone afterwards."""
    config = read_config(path, file_format, limits)
    repairs = _mend(config, path, file_format)
    # Of an old archive, what the file calls its layers was noted in the configuration.
    mended = bool(repairs) or (file_format == "keras" and is_old(path))
    misnamed = path.suffix not in _SUFFIXES[file_format]
    if not mended and not misnamed:
        yield Readable(path, ())
        return
    if misnamed:
        repairs = (f"read as {_CONTENT[file_format]}, which it is, whatever its name says", *repairs)
    with TemporaryDirectory(prefix="convscope-") as folder:
        copy = Path(folder) / f"model{_SUFFIXES[file_format][0]}"
        if mended and file_format == "keras":
            _copy_archive(path, copy, config)
        else:
            shutil.copyfile(path, copy)
        if mended and file_format == "hdf5":
            with h5py.File(copy, "r+") as file:
                file.attrs["model_config"] = json.dumps(config)
        yield Readable(copy, repairs)


def keras_version(path: Path) -> str:
    """The version that wrote a file; "1" where an HDF5 file does not say, as Keras 1 did not."""
    return _version_of_archive(path) if zipfile.is_zipfile(path) else _version_of_hdf5(path)


def is_old(path: Path) -> bool:
    """Whether a file was written before Keras 3, whose own files are hardly edited."""
    return keras_version(path).split(".")[0] in ("0", "1", "2")


def _version_of_hdf5(path: Path) -> str:
    with h5py.File(path, "r") as file:
        version = file.attrs.get("keras_version", "1")
    return version.decode("ascii", "replace") if isinstance(version, bytes) else str(version)


def _version_of_archive(path: Path) -> str:
    """Of Keras 3, where its metadata is not as Keras 2 wrote it."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("metadata.json").file_size > _MAX_METADATA_BYTES:
                return "3"
            metadata = json.loads(archive.read("metadata.json"))
    except (KeyError, ValueError, RecursionError, zipfile.BadZipFile, OSError, NotImplementedError, EOFError):
        return "3"
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else "3"


def _numbers(version: str) -> Version:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


def _copy_archive(path: Path, copy: Path, config: object) -> None:
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        for member in source.infolist():
            if member.filename == "config.json":
                target.writestr("config.json", json.dumps(config))
                continue
            with source.open(member) as stored, target.open(member.filename, "w", force_zip64=True) as written:
                shutil.copyfileobj(stored, written)


def _mend(config: object, path: Path, file_format: Format) -> tuple[str, ...]:
    old = is_old(path)
    if isinstance(config, dict):
        require_inference(config)
    if file_format == "hdf5" and not old:
        _require_no_operations(config, path)
        return ()
    if not isinstance(config, dict):
        raise ModelFailedError(f"'{path.name}' has a configuration that describes no model")
    try:
        if not old:
            return mend_archive(config)
        mend_any = mend if file_format == "hdf5" else mend_old_archive
        return mend_any(config, _numbers(keras_version(path)))
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        # No known version writes such entries.
        raise ModelFailedError(
            f"'{path.name}' has a configuration that no version of Keras writes: save the model again"
        ) from error


def _require_no_operations(config: object, path: Path) -> None:
    """Refuse what Keras 3 writes to HDF5 and does not find again there, as it leaves out the module of operations."""
    entries = walk(config) if isinstance(config, dict) else ()
    if names := [name_of(layer) for entry in entries for layer in layers_of(entry) if _is_operation(layer)]:
        raise ModelFailedError(
            f"'{path.name}' was saved by Keras 3 with operations on tensors ('{names[0]}'), which HDF5 cannot hold: "
            "save the model with model.save('model.keras')"
        )


def _is_operation(entry: Entry) -> bool:
    # `Add` is a layer too; that has `trainable` in its configuration.
    return entry.get("class_name") in allowed_names().operations and "trainable" not in config_of(entry)
