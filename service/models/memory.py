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
# M_ARENA_MAX, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h.
_ALLOCATOR_OPTIONS: Final = {-8: 1, -3: 2**27, -1: 2**28}
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
def configure_allocator() -> None:
    """Have freed memory come back, of TensorFlow too. To be called before its first operation.

    By default TensorFlow on oneDNN keeps a pool that only grows. The C library would give large blocks back at once,
    and fill them with zeros when they are asked for again, a third of a batch's time; and it would give each
    thread a heap with gaps of its own. So there is one heap, whose free memory `collect_memory` gives back.
    """
    os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
    with suppress(OSError, AttributeError):  # another C library than GNU's
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for option, value in _ALLOCATOR_OPTIONS.items():
            mallopt(option, value)


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
        self._timer: Timer | None = None

    def collect_soon(self) -> None:
        """To be called from any thread, also from a finalizer: returns at once."""
        with self._lock:
            self._is_due = True
            if self._timer is None:
                self._timer = Timer(_PAUSE_SECONDS, self._collect)
                self._timer.daemon = True
                self._timer.start()

    def collect_due(self) -> None:
        """Collect now, if that was asked for and has not been done."""
        with self._lock:
            is_due, self._is_due = self._is_due, False
        if is_due:
            collect_memory()

    def _collect(self) -> None:
        with self._lock:
            self._timer = None
        self.collect_due()
