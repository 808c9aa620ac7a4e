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
from typing import Any, NamedTuple

import h5py

from service.engine.keras.archive import Format, read_config
from service.engine.keras.edits import mend, mend_archive
from service.engine.keras.file_limits import MODEL_FILE_LIMITS, ModelFileLimits
from service.errors import ModelFailedError

_SUFFIXES: dict[Format, tuple[str, ...]] = {"keras": (".keras",), "hdf5": (".h5", ".hdf5")}
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
    mended = bool(repairs)
    misnamed = path.suffix not in _SUFFIXES[file_format]
    if not repairs and not misnamed:
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
    """The version that wrote an HDF5 file; "1" where it does not say, as Keras 1 did not."""
    with h5py.File(path, "r") as file:
        version = file.attrs.get("keras_version", "1")
    return version.decode("ascii", "replace") if isinstance(version, bytes) else str(version)


def is_old(path: Path) -> bool:
    """Whether an HDF5 file was written before Keras 3, whose own files are never edited."""
    return keras_version(path).split(".")[0] in ("0", "1", "2")


def _copy_archive(path: Path, copy: Path, config: Any) -> None:
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        for member in source.infolist():
            if member.filename == "config.json":
                target.writestr("config.json", json.dumps(config))
                continue
            with source.open(member) as stored, target.open(member.filename, "w", force_zip64=True) as written:
                shutil.copyfileobj(stored, written)


def _mend(config: object, path: Path, file_format: Format) -> tuple[str, ...]:
    if file_format == "hdf5" and not is_old(path):
        return ()
    if not isinstance(config, dict):
        raise ModelFailedError(f"'{path.name}' has a configuration that describes no model")
    try:
        return mend(config) if file_format == "hdf5" else mend_archive(config)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # No known version writes such entries.
        raise ModelFailedError(
            f"'{path.name}' has a configuration that no version of Keras writes: save the model again"
        ) from error
