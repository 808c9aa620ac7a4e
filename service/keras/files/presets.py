"""A preset of KerasHub judged by arithmetic: a configuration, and arrays in one file or two. Imports no Keras."""

from pathlib import Path
from typing import Any, NamedTuple

import h5py

from service.errors import ModelFailedError
from service.keras.files.admission.config_size import require_modest, require_stored
from service.keras.files.admission.limits import ModelFileLimits, Stored
from service.keras.files.archive import parse_config
from service.keras.files.stored_arrays import measure_arrays
from service.preset_files import BACKBONE, TASK, TASK_WEIGHTS, WEIGHTS


class Preset(NamedTuple):
    """What may be built of a folder. `has_task`: a head or the like stands over the backbone."""

    config: dict[str, Any]
    stored: Stored
    has_task: bool


def inspect_preset(folder: Path, limits: ModelFileLimits) -> Preset:
    """Judge the files by arithmetic, without Keras. Raises ModelFailedError."""
    has_task = (folder / TASK).is_file()
    file = folder / (TASK if has_task else BACKBONE)
    with file.open("rb") as stream:
        # One byte more tells that there are too many.
        config = parse_config(stream.read(limits.config_bytes + 1), file, limits)
    if not isinstance(config, dict) or "class_name" not in config:
        raise ModelFailedError(
            f"'{file.name}' describes no network of Keras: only what KerasHub's save_to_preset has written is read"
        )
    config = {key: value for key, value in config.items() if key != "compile_config"}
    require_modest(config, file, limits)
    weights = [path for path in (folder / WEIGHTS, folder / TASK_WEIGHTS) if path.is_file()]
    for path in weights:
        if not h5py.is_hdf5(path):
            raise ModelFailedError(f"'{path.name}' is no HDF5 file: copy it again")
    stored = Stored(sum(measure_arrays(path, "hdf5", limits).numbers for path in weights))
    require_stored(config, file, stored)
    return Preset(config, stored, has_task)
