"""How much memory there is, and how a network that has gone leaves it. Knows nothing of models."""

import ctypes
import gc
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import RLock, Timer
from typing import Final

# Whoever lets go of a network is still in the middle of it; and several may go together.
_PAUSE_SECONDS: Final = 1.0
# Of the second version of control groups, and of the first.
_CGROUP_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def measure_memory() -> int:
    """Bytes that this process and those beside it may use: the machine's, or the container's where that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _CGROUP_LIMITS:
        # It says `max`, or there is no such file, where nothing is limited.
        with suppress(OSError, ValueError):
            limits.append(int(Path(file).read_text(encoding="ascii")))
    return min(limits)


@cache
def freeze_modules() -> None:
    """Leave what was imported out of every later collection: 0.3 s of a stopped process become 0.03.

    To be called once TensorFlow is there, and before the first network is.
    """
    gc.collect()
    gc.freeze()


def collect_memory() -> None:
    """Give back what nobody can reach: networks are full of cycles, and the C library keeps what is freed."""
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library than GNU's
        ctypes.CDLL("libc.so.6").malloc_trim(0)


class Collector:
    """Collects memory a moment after it was asked to, once for all who ask meanwhile."""

    def __init__(self) -> None:
        # A collection may come in between, and finalize another model on this very thread.
        self._lock = RLock()
        self._is_due = False

    def collect_soon(self) -> None:
        """To be called from any thread, also from a finalizer: returns at once."""
        with self._lock:
            if self._is_due:
                return
            self._is_due = True
        timer = Timer(_PAUSE_SECONDS, self._collect)
        timer.daemon = True
        timer.start()

    def _collect(self) -> None:
        with self._lock:
            self._is_due = False
        collect_memory()
