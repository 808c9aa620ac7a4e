"""Reading a model file's configuration, as plain JSON, before Keras sees it: its format, and whether it is too large.

Which names it may hold is `configuration`'s to say.
"""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

import h5py

from service.errors import ModelFailedError
from service.keras.files.admission.config_size import require_modest, require_short_text, require_stored
from service.keras.files.admission.limits import MODEL_FILE_LIMITS, ModelFileLimits, Stored
from service.keras.files.archive_listing import require_plain_archive
from service.keras.files.stored_arrays import measure_arrays

Format = Literal["keras", "hdf5"]


class Inspected(NamedTuple):
    """A file that may be loaded, and the arrays that it holds."""

    file_format: Format
    stored: Stored


def inspect(path: Path, limits: ModelFileLimits = MODEL_FILE_LIMITS) -> Inspected:
    """Tell the format by content and refuse what cannot be loaded. Raises ModelFailedError."""
    file_format = _format(path, limits)
    config = read_config(path, file_format, limits)
    require_modest(config, path, limits)
    stored = measure_arrays(path, file_format, limits)
    require_stored(config, path, stored)
    return Inspected(file_format, stored)


def read_config(path: Path, file_format: Format, limits: ModelFileLimits = MODEL_FILE_LIMITS) -> object:
    """The configuration in a file. Raises ModelFailedError where there is none."""
    return _keras_config(path, limits) if file_format == "keras" else _hdf5_config(path, limits)


def _hdf5_config(path: Path, limits: ModelFileLimits) -> object:
    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
    except Exception as error:
        # h5py has another one for each place where a file can be damaged.
        raise ModelFailedError(f"'{path.name}' is a damaged HDF5 file: copy it again") from error
    if config is None:
        raise ModelFailedError(
            f"'{path.name}' holds weights without a network: save the whole model with model.save('model.keras')"
        )
    if not isinstance(config, str | bytes):
        raise ModelFailedError(f"'{path.name}' has a configuration that is no text: save the model again")
    return parse_config(config, path, limits)


def _format(path: Path, limits: ModelFileLimits) -> Format:
    if zipfile.is_zipfile(path):
        require_plain_archive(path, limits)
        return "keras"
    if h5py.is_hdf5(path):
        return "hdf5"
    with path.open("rb") as stream:
        if stream.read(2) == b"PK":
            raise ModelFailedError(f"'{path.name}' is a .keras archive that is cut off or damaged: copy it again")
    raise ModelFailedError(f"'{path.name}' is neither a .keras archive nor an HDF5 file: save it with model.save()")


def _keras_config(path: Path, limits: ModelFileLimits) -> object:
    try:
        with zipfile.ZipFile(path) as archive:
            return parse_config(archive.read("config.json"), path, limits)
    except (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError, EOFError) as error:
        raise ModelFailedError(f"'{path.name}' is a damaged .keras archive") from error


def parse_config(text: str | bytes, path: Path, limits: ModelFileLimits) -> object:
    """A text of a file as JSON, if it is not too long. Raises ModelFailedError."""
    require_short_text(text, path, limits)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFailedError(f"'{path.name}' has a configuration that is not JSON") from error
