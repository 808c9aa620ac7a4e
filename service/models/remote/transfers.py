"""Fetches on threads of their own: whoever waits gives up in time, whatever a library is stuck in. Knows no URLs."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from time import monotonic
from typing import Final

from service.errors import ModelFailedError, WeightsUnavailableError

logger = logging.getLogger(__name__)

# Without a single byte in between.
_STALL_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.2
MEGABYTE: Final = 2**20


class Transfer:
    """A fetch in progress: `folder` is where its bytes arrive, once it has begun to write."""

    def __init__(self) -> None:
        self.result: Future[str] = Future()
        self.folder: Path | None = None
        self.is_over = False
        self.started = self.grown = monotonic()
        self._size = 0

    def go_on(self) -> bool:
        """Whether anybody still waits for it."""
        return not self.is_over

    def measure(self) -> int:
        """Bytes that have come; notes when there are more than before."""
        size = 0
        # What it writes to may be gone by now.
        with suppress(OSError):
            size = sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file()) if self.folder else 0
        if size != self._size or self.folder is None:
            self._size, self.grown = size, monotonic()
        return size


class Transfers:
    """One at a time for each key; all who ask for it wait for the same. Safe to use from several threads."""

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._running: dict[str, Transfer] = {}
        self._is_closed = False

    def join(self, key: str, begin: Callable[[Transfer], str]) -> str:
        """What `begin` returns, begun unless it is running. Raises what it raises, and errors of limits."""
        with self._lock:
            transfer = self._running.get(key)
            if transfer is None:
                transfer = self._running[key] = Transfer()
                Thread(target=self._run, args=(key, transfer, begin), name="transfer", daemon=True).start()
        while True:
            with suppress(TimeoutError):
                return transfer.result.result(_LOOK_SECONDS)
            try:
                self._require_progress(transfer)
            except Exception:
                # Its thread may be stuck for a while yet; what it writes then is thrown away.
                transfer.is_over = True
                raise

    def close(self) -> None:
        """End all that are running."""
        self._is_closed = True

    def _require_progress(self, transfer: Transfer) -> None:
        if self._is_closed:
            raise WeightsUnavailableError("the service is shutting down")
        if transfer.measure() > self._max_bytes:
            raise too_large(self._max_bytes)
        if monotonic() - transfer.started > self._seconds:
            raise WeightsUnavailableError(
                f"its file did not come within {self._seconds:g} seconds (CONVSCOPE_LIMITS__FETCH_SECONDS): ask again, "
                "or allow longer"
            )
        if monotonic() - transfer.grown > _STALL_SECONDS:
            raise WeightsUnavailableError("its file stopped coming: ask again when what serves it answers")

    def _run(self, key: str, transfer: Transfer, begin: Callable[[Transfer], str]) -> None:
        try:
            result = begin(transfer)
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            self._end(key)
            transfer.result.set_exception(error)
        else:
            self._end(key)
            transfer.result.set_result(result)

    def _end(self, key: str) -> None:
        with self._lock:
            del self._running[key]


def too_large(limit: int) -> ModelFailedError:
    """The error for a file that has no room, whatever goes."""
    return ModelFailedError(
        f"its file is larger than the {limit // MEGABYTE} MB that all fetched files may take together "
        "(CONVSCOPE_LIMITS__FETCHED_BYTES)"
    )
