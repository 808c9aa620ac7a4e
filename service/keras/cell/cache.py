"""Networks that cells have read, kept as files from one start to the next. Knows no processes and no Keras.

What cannot be read or written is no error: then nothing is kept.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import BinaryIO, Final

from service.keras.cell.parcel import is_whole

logger = logging.getLogger(__name__)

_SUFFIX: Final = ".network"
# A folder or file of a process that was killed, by its age; no cell lasts so long.
_LEFT_SECONDS: Final = 86_400


class NetworkCache:
    """At most `max_bytes` in `folder`, which several processes share; of more, what was used longest ago goes."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes

    def prepare(self) -> bool:
        """Make the folder, for its owner alone, and clear away what killed processes left. False where none can be."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            logger.warning("no networks are kept, as their folder (CONVSCOPE_NETWORKS) cannot be written: %s", error)
            return False
        for path in self.folder.glob("cell-*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFT_SECONDS:
                    rmtree(path, ignore_errors=True)
        return os.access(self.folder, os.W_OK)

    @contextmanager
    def making(self, key: str) -> Iterator[None]:
        """While this is open nobody else makes that network, in this process or another."""
        # Two that share a lock only wait for each other.
        with (self.folder / f"{key[:2]}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def open(self, key: str) -> BinaryIO | None:
        """A whole parcel, or None; a damaged one is removed."""
        path = self._path(key)
        try:
            stream = path.open("rb")
        except OSError:
            return None
        if is_whole(stream):
            with suppress(OSError):
                os.utime(path)
            return stream
        stream.close()
        logger.warning("the network kept in '%s' is damaged: it is read anew from its file", path.name)
        path.unlink(missing_ok=True)
        return None

    def keep(self, key: str, parcel: Path) -> None:
        """Move a sealed parcel in, unless it is larger than all may be."""
        if parcel.stat().st_size > self._max_bytes:
            return
        try:
            parcel.rename(self._path(key))
            self._make_room()
        except OSError as error:
            logger.warning("a network is not kept: %s", error)

    def _make_room(self) -> None:
        """Whoever reads a file that goes reads it to its end."""
        found = [(path.stat(), path) for path in self.folder.glob(f"*{_SUFFIX}")]
        total = sum(status.st_size for status, _ in found)
        for status, path in sorted(found, key=lambda item: item[0].st_mtime_ns):
            if total <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= status.st_size

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"
