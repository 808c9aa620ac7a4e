"""The keys of the file as it stands: a thread looks every second whether it has changed. No request reads a file.

A new version that cannot be read leaves the keys before in force: a slip of the pen must not lock everybody out. That
keeps a key in force, too, which that version meant to revoke. So it is an error in the log, again every minute, and
`convscope_keys_age_seconds` grows until the file is in order. A file without any line lets nobody in.
"""

import logging
import stat
import time
from pathlib import Path
from threading import Event, Thread
from typing import Final

from service.api.access.keys.key_file import KeyFileError, Keys, read_keys

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
_REMIND_SECONDS: Final = 60.0
# A file that changes twice within a tick of its file system's clock looks as if it had changed once.
_SETTLED_NANOSECONDS: Final = 2_000_000_000

_Stamp = tuple[int, int, int, int]


class WatchedKeys:
    """`current` may be read from any thread."""

    def __init__(self, path: Path) -> None:
        """Raises KeyFileError where the file cannot be read."""
        self._path = path
        self._stamp: _Stamp | None = None
        self.current: Keys = read_keys(path)
        self._last_good = time.monotonic()
        self._failures = 0
        self._reminded = 0.0
        self._stopping = Event()
        if not len(self.current):
            logger.warning("no key in %s: nobody may do anything until `convscope keys new` has made one", path)
        if path.stat().st_mode & stat.S_IWOTH:
            logger.warning("everybody on this machine may write to %s, and so make keys: chmod o-w", path)

    @property
    def age_seconds(self) -> float:
        """How long ago the keys in force were known to be those of the file."""
        return time.monotonic() - self._last_good

    def start(self) -> None:
        """Look every second from now on."""
        Thread(target=self._watch, name="keys", daemon=True).start()

    def close(self) -> None:
        self._stopping.set()

    def look(self) -> None:
        """Read the file again if it has changed."""
        try:
            stamp = _stamp(self._path)
            if stamp is None or stamp != self._stamp:
                self._take(read_keys(self._path))
            self._stamp = stamp
        except (KeyFileError, OSError) as error:
            self._stamp = None
            self._complain(error)
        else:
            self._last_good, self._failures = time.monotonic(), 0

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            self.look()

    def _take(self, keys: Keys) -> None:
        if self._failures or list(keys) != list(self.current):
            logger.info("%d keys read from %s", len(keys), self._path)
        self.current = keys

    def _complain(self, error: Exception) -> None:
        self._failures += 1
        now = time.monotonic()
        # An editor may be in the middle of it: it is a fault when it lasts.
        if self._failures == 2 or (self._failures > 2 and now - self._reminded > _REMIND_SECONDS):
            self._reminded = now
            logger.error(
                "THE KEYS FROM BEFORE STAY IN FORCE, also those revoked since: %s is not in order: %s",
                self._path,
                error,
            )


def _stamp(path: Path) -> _Stamp | None:
    """What changes when the file does; None where that is not sure yet."""
    found = path.stat()
    newest = max(found.st_mtime_ns, found.st_ctime_ns)
    if time.time_ns() - newest < _SETTLED_NANOSECONDS:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
