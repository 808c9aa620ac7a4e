"""What one request may take of the process: memory, from one budget for all of them, and time. Knows no requests."""

import math
import time
from threading import Condition
from typing import Final, Self

from service.errors import DeadlineExceededError, ImageTooManyPixelsError, ServerBusyError

_MEGABYTE: Final = 2**20


class Memory:
    """So many bytes for all together. Safe to use from several threads.

    At most `waiting` threads wait until there is enough, each for so long, so that the others are free for whoever
    needs less.
    """

    def __init__(self, total: int, *, waiting: int = 0, patience_seconds: float = 0.0) -> None:
        self._total = self._free = total
        self._waiting = waiting
        self._patience = patience_seconds
        self._changed = Condition()

    @property
    def taken(self) -> int:
        """Bytes that are held."""
        return self._total - self._free

    def take(self, count: int, *, held: int = 0) -> None:
        """Raises ImageTooManyPixelsError for what can never be had, beside the `held`, else ServerBusyError."""
        if held + count > self._total:
            raise ImageTooManyPixelsError(
                f"the image takes {(held + count) // _MEGABYTE} MB of memory until it is drawn, and all requests have "
                f"{self._total // _MEGABYTE} MB together: send a smaller one, or save it in another format"
            )
        with self._changed:
            if self._free < count and not self._wait(count):
                raise ServerBusyError("the memory for pictures is in use: try again in a moment")
            self._free -= count

    def give_back(self, count: int) -> None:
        with self._changed:
            self._free += count
            self._changed.notify_all()

    def _wait(self, count: int) -> bool:
        if not self._waiting:
            return False
        self._waiting -= 1
        try:
            return self._changed.wait_for(lambda: self._free >= count, self._patience)
        finally:
            self._waiting += 1


class Allowance:
    """One request's, from when its work begins until the block ends. To be used by one thread at a time."""

    def __init__(self, seconds: float = math.inf, memory: Memory | None = None) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._memory = memory
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._memory is not None:
            self._memory.give_back(self._held)
        self._held = 0

    def check(self) -> None:
        """To be called between steps. Raises DeadlineExceededError."""
        if time.monotonic() > self._end:
            raise DeadlineExceededError(
                f"this took longer than the {self._seconds:g} seconds that it may: send less at once, or try again "
                "when the service has less to do"
            )

    def reserve(self, count: int) -> None:
        """Hold so many bytes in all, if not more already. Raises what Memory raises."""
        if self._memory is not None and count > self._held:
            self._memory.take(count - self._held, held=self._held)
            self._held = count


# For processes that compute one request at a time, and may take what they need.
FREE: Final = Allowance()
