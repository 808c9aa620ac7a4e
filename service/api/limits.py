"""A bounded executor: so many requests computed at once, so many waiting, the rest refused at once. Likewise places."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from service.errors import ServerBusyError

T = TypeVar("T")


class BoundedExecutor:
    """Runs functions on threads, never on the event loop. To be used from the event loop alone."""

    def __init__(self, *, running: int, waiting: int, name: str = "compute") -> None:
        self._threads = ThreadPoolExecutor(running, thread_name_prefix=name)
        self._running = running
        self.places = running + waiting
        self._admitted = 0

    @property
    def running(self) -> int:
        """How many run now; may be read from any thread, as may `waiting`."""
        return min(self._admitted, self._running)

    @property
    def waiting(self) -> int:
        return max(0, self._admitted - self._running)

    def require_room(self) -> None:
        """Raise ServerBusyError when no further request may wait."""
        if self._admitted >= self.places:
            raise ServerBusyError(f"{self._admitted} requests are already running or waiting: try again in a moment")

    async def run(self, function: Callable[[], T]) -> T:
        """Run `function` on a thread as soon as one is free. Raises ServerBusyError, or what `function` raises."""
        self.require_room()
        self._admitted += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, function)
        # Not in a `finally`: a cancelled waiter leaves its function running, and that still takes a place.
        future.add_done_callback(self._release)
        return await asyncio.shield(future)

    def close(self) -> None:
        """Give up what has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _release(self, future: asyncio.Future[Any]) -> None:
        self._admitted -= 1
        if not future.cancelled():
            # Marks the exception as seen where the waiter has gone.
            future.exception()


class Places:
    """So many at the same time. To be used from the event loop alone."""

    def __init__(self, count: int) -> None:
        self._free = count

    @contextmanager
    def take(self) -> Iterator[bool]:
        """Hold a place while the block runs; False where none is free."""
        granted = self._free > 0
        self._free -= granted
        try:
            yield granted
        finally:
            self._free += granted
