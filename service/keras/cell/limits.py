"""What a cell may use, set by the cell itself before it reads a stranger's byte. Imports nothing native."""

import ctypes
import platform
import resource
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.keras.cell.file_access import bound_files, can_bound_files
from service.keras.cell.system_calls import can_filter_calls, refuse_calls

# Opened by Python, TensorFlow and HDF5 are a dozen.
_OPEN_FILES: Final = 64
# linux/prctl.h
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True)
class CellLimits:
    """Each with what importing TensorFlow takes: half a gigabyte and some seconds."""

    memory_bytes: int = 2**33
    processor_seconds: int = 600
    seconds: float = 300.0


def end_with_parent() -> None:
    """Have the system end this process when the one that started it ends; HDF5 may be in a loop by then."""
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def confine(limits: CellLimits, *, files: Iterable[int], file_bytes: int) -> None:
    """Bound this process for good, as far as the system can. Raises OSError.

    It may write in the current folder, no file larger than `file_bytes`, and read `files` (descriptors).
    """
    if can_bound_files():
        bound_files(Path.cwd(), files)
    # What is written to alone: of the address space TensorFlow reserves gigabytes that it never touches.
    _bound(resource.RLIMIT_DATA, limits.memory_bytes)
    # The signal comes at the first limit, and cannot be left unheard at the second.
    _bound(resource.RLIMIT_CPU, limits.processor_seconds, limits.processor_seconds + 1)
    _bound(resource.RLIMIT_FSIZE, file_bytes)
    _bound(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _bound(resource.RLIMIT_CORE, 0)
    if can_filter_calls():
        refuse_calls()


def _bound(kind: int, soft: int, hard: int | None = None) -> None:
    known = resource.getrlimit(kind)[1]
    most = soft if hard is None else hard
    if known != resource.RLIM_INFINITY:
        soft, most = min(soft, known), min(most, known)
    resource.setrlimit(kind, (soft, most))
