"""A bounded executor: so many requests computed at once, so many waiting, the rest refused at once. Likewise places."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from service.errors import ServerBusyError

T = TypeVar("T")


class BoundedExecutor:
    """Runs functions on threads, never on the event loop. To be used from the event loop alone.

    Functions wait in lanes, such as one per model, which take turns: who sends many delays nobody else for long.
    """

    def __init__(self, *, running: int, waiting: int, name: str = "compute") -> None:
        self._threads = ThreadPoolExecutor(running, thread_name_prefix=name)
        self._running = running
        self._free = running
        self.places = running + waiting
        self._admitted = 0
        self._lanes: OrderedDict[str, deque[tuple[Callable[[], Any], asyncio.Future[Any]]]] = OrderedDict()

    @property
    def running(self) -> int:
        """How many run now; may be read from any thread, as may `waiting`."""
        return self._running - self._free

    @property
    def waiting(self) -> int:
        return max(0, self._admitted - self.running)

    def require_room(self) -> None:
        """Raise ServerBusyError when no further request may wait."""
        if self._admitted >= self.places:
            raise ServerBusyError(f"{self._admitted} requests are already running or waiting: try again in a moment")

    async def run(self, function: Callable[[], T], lane: str = "") -> T:
        """Run `function` on a thread as soon as one is free. Raises ServerBusyError, or what `function` raises."""
        self.require_room()
        self._admitted += 1
        future = asyncio.get_running_loop().create_future()
        # Not in a `finally`: a cancelled waiter leaves its function running, and that still takes a place.
        future.add_done_callback(self._release)
        self._lanes.setdefault(lane, deque()).append((function, future))
        self._begin()
        answer: T = await asyncio.shield(future)
        return answer

    def close(self) -> None:
        """Give up what has not begun."""
        for lane in self._lanes.values():
            for _, future in lane:
                future.cancel()
        self._lanes.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        while self._free and self._lanes:
            name, lane = self._lanes.popitem(last=False)
            function, future = lane.popleft()
            if lane:
                self._lanes[name] = lane
            self._free -= 1
            work = asyncio.get_running_loop().run_in_executor(self._threads, function)
            work.add_done_callback(partial(self._end, future))

    def _end(self, future: asyncio.Future[Any], work: asyncio.Future[Any]) -> None:
        self._free += 1
        if work.cancelled():
            future.cancel()
        elif error := work.exception():
            future.set_exception(error)
        else:
            future.set_result(work.result())
        self._begin()

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
