"""What one request may take of the process: memory, from one budget for all of them, and time. Knows no requests.

What computes deeper down, such as the dynamic batcher, finds the allowance that it works under by `current`.
"""

import math
import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from threading import Condition
from typing import Final, Self

from service.errors import ClientGoneError, DeadlineExceededError, ImageTooManyPixelsError, ServerBusyError

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


def _never() -> bool:
    return False


class Allowance:
    """One request's, from when its work begins until the block ends. To be used by one thread at a time.

    `is_abandoned` tells, from any thread, whether nobody waits for the answer any more.
    """

    def __init__(
        self, seconds: float = math.inf, memory: Memory | None = None, is_abandoned: Callable[[], bool] = _never
    ) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._memory = memory
        self._held = 0
        self._token: Token[Allowance] | None = None
        self.is_abandoned = is_abandoned

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)
            self._token = None
        if self._memory is not None:
            self._memory.give_back(self._held)
        self._held = 0

    def check(self) -> None:
        """To be called between steps. Raises DeadlineExceededError or ClientGoneError."""
        if self.is_abandoned():
            raise ClientGoneError("nobody waits for this any more")
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
_current: Final[ContextVar[Allowance]] = ContextVar("allowance", default=FREE)


def current() -> Allowance:
    """The one that this thread works under."""
    return _current.get()
