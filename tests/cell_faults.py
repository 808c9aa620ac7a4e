"""What a file might make a cell do, by the file's name; runs in a cell in place of what reads files."""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from service.engine.ports.overrides import Overrides
from service.keras.cell.entry import read_network, run
from service.keras.cell.parcel import CellRequest, Contents, Weight, read_arrays, read_parcel
from service.keras.files.admission.limits import ModelFileLimits
from tests.cell_reach import look_around, look_at_files

_BOMB_BYTES: Final = 100 * 10**9


def _fill() -> None:
    # Not at the top: it starts threads.
    import numpy as np

    np.full(_BOMB_BYTES, 1, np.uint8)


def _fill_by_tensorflow() -> None:
    import tensorflow as tf

    tf.fill([_BOMB_BYTES // 4], 1.0)


def _fill_by_and_by() -> None:
    kept = []
    while True:
        kept.append(b"x" * 2**20)


def _run_on() -> None:
    while True:
        pass


def _jump_to_nowhere() -> None:
    ctypes.string_at(0)


def _write_on() -> None:
    with Path("large").open("wb") as stream:
        while True:
            stream.write(b"x" * 2**24)


def _open_files() -> None:
    kept = []
    while True:
        kept.append(os.open("/dev/null", os.O_RDONLY))


_FAULTS: Final[dict[str, Callable[[], Any]]] = {
    "bomb": _fill,
    "tensorflow-bomb": _fill_by_tensorflow,
    "slow-bomb": _fill_by_and_by,
    "endless": _run_on,
    "asleep": lambda: time.sleep(1e6),
    "nowhere": _jump_to_nowhere,
    "signal": lambda: signal.raise_signal(signal.SIGSEGV),
    "silent": lambda: os._exit(0),
    "exit": lambda: os._exit(7),
    "disk": _write_on,
    "descriptors": _open_files,
    "around": look_around,
}


def _spoil(name: str, contents: Contents) -> Contents:
    """A parcel as only a cell that is no longer ours would make it."""
    weights = contents.weights
    spoiled: dict[str, dict[str, Any]] = {
        "forged-name": {"config": contents.config.replace('"class_name": "Dense"', '"class_name": "Lambda"')},
        "forged-json": {"config": contents.config[:-1]},
        "forged-order": {"weights": weights[::-1]},
        "forged-length": {"weights": (*weights, Weight(name="a/b", shape=(3,), dtype="float32"))},
        "forged-type": {"weights": (*weights, Weight(name="a/b", shape=(0,), dtype="object"))},
    }
    return contents.model_copy(update=spoiled[name])


def _forge(path: Path, limits: ModelFileLimits) -> tuple[Contents, Iterator[bytes]]:
    """The file is what an honest cell made."""
    stream = path.open("rb")
    contents = read_parcel(stream, limits)
    assert isinstance(contents, Contents)
    return _spoil(path.stem, contents), (array for _, array in read_arrays(stream, contents))


def _read(path: Path, overrides: Overrides, request: CellRequest) -> tuple[Contents, Iterator[bytes]]:
    if path.stem.startswith("forged"):
        return _forge(path, request.model_limits)
    if path.stem == "files":
        look_at_files(path)
    if path.stem in _FAULTS:
        _FAULTS[path.stem]()
    return read_network(path, overrides, request)


if __name__ == "__main__":
    run(_read)
