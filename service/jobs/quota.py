"""How many bytes the files of jobs may take. Knows neither files nor records: it is told how to measure."""

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Final

from service.errors import StorageFullError

# A measure holds so long, and what this process adds is counted meanwhile; what others add and remove is not.
_MEASURE_SECONDS: Final = 60.0
# Measuring looks at every file: it takes at most this share of the time.
_SHARE: Final = 0.05
# A measure that would refuse somebody is renewed when it is older, as room may have come.
_DOUBT_SECONDS: Final = 5.0


class Quota:
    """At most `limit` bytes. Safe to use from several threads."""

    def __init__(self, limit: int, measure: Callable[[], int], sentence: str) -> None:
        self._limit = limit
        self._measure = measure
        self._sentence = sentence
        self._lock = Lock()
        self._measuring = Lock()
        self._used = 0
        self._added = 0
        self._begun = self._ended = float("-inf")

    def take(self, size: int) -> None:
        """Count so many bytes more. Raises StorageFullError where they do not fit, and what measuring raises."""
        if self._is_stale() or (not self._fits(size) and monotonic() - self._begun > _DOUBT_SECONDS):
            self.renew()
        with self._lock:
            if self._used + size > self._limit:
                raise StorageFullError(self._sentence)
            self._used += size
            self._added += size

    def give(self, size: int) -> None:
        """Count so many bytes less."""
        with self._lock:
            self._used -= size
            self._added -= size

    def renew(self) -> None:
        """Measure anew, unless another thread does so already; the first measure is waited for."""
        if not self._measuring.acquire(blocking=self._ended == float("-inf")):
            return
        try:
            self._begun, added = monotonic(), self._added
            found = self._measure()
            with self._lock:
                self._used = found + self._added - added
            self._ended = monotonic()
        finally:
            self._measuring.release()

    def renew_early(self) -> None:
        """Measure anew before somebody has to wait for it, where it is nearly time to."""
        if self._is_stale(0.5):
            self.renew()

    def _fits(self, size: int) -> bool:
        return self._used + size <= self._limit

    def _is_stale(self, share: float = 1.0) -> bool:
        if self._ended == float("-inf"):
            return True
        pause = max(_MEASURE_SECONDS, (self._ended - self._begun) / _SHARE)
        return monotonic() - self._ended > share * pause
