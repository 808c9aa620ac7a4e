"""A bounded executor: so many requests computed at once, so many waiting, the rest refused at once. Likewise places."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

from service.errors import ConvscopeError, ServerBusyError

T = TypeVar("T")
# Ends when the client has left.
Departure = Callable[[], Awaitable[None]]


class ClientGoneError(ConvscopeError):
    code = "client_gone"


@dataclass(eq=False)
class _Call:
    function: Callable[[], object]
    future: asyncio.Future[object]
    lane: str
    begun: bool = False


class BoundedExecutor:
    """Runs functions on threads, never on the event loop. To be used from the event loop alone.

    Functions wait in lanes, such as one per model, which take turns: who sends many delays nobody else for long.
    """

    def __init__(self, *, running: int, waiting: int, name: str = "compute") -> None:
        self._threads = ThreadPoolExecutor(running, thread_name_prefix=name)
        self._running = running
        self._free = running
        self.slots = running + waiting
        self._admitted = 0
        self._lanes: OrderedDict[str, deque[_Call]] = OrderedDict()

    @property
    def running(self) -> int:
        """How many run now; may be read from any thread, as may `waiting`."""
        return self._running - self._free

    @property
    def waiting(self) -> int:
        return max(0, self._admitted - self.running)

    def require_room(self) -> None:
        """Raise ServerBusyError when no further request may wait."""
        if self._admitted >= self.slots:
            raise ServerBusyError(f"{self._admitted} requests are already running or waiting: try again in a moment")

    async def run(self, function: Callable[[], T], lane: str = "", departure: Departure | None = None) -> T:
        """Run `function` on a thread as soon as one is free. Raises ServerBusyError, or what `function` raises.

        It is dropped where it has not begun when the waiter is cancelled, or when the client has left by `departure`,
        which raises ClientGoneError. That is looked at only for what has to wait.
        """
        self.require_room()
        self._admitted += 1
        call = _Call(function, asyncio.get_running_loop().create_future(), lane)
        # Not in a `finally`: a cancelled waiter leaves a function that has begun running, and that still takes a place.
        call.future.add_done_callback(self._release)
        self._lanes.setdefault(lane, deque()).append(call)
        self._begin()
        try:
            if departure is not None and not call.begun:
                await self._wait_beside(call, departure)
            answer = await asyncio.shield(call.future)
        except asyncio.CancelledError:
            self._drop(call)
            raise
        # Calls of all kinds wait in one lane.
        return cast("T", answer)

    def close(self) -> None:
        """Give up what has not begun."""
        for lane in self._lanes.values():
            for call in lane:
                call.future.cancel()
        self._lanes.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        while self._free and self._lanes:
            name, lane = self._lanes.popitem(last=False)
            call = lane.popleft()
            if lane:
                self._lanes[name] = lane
            self._free -= 1
            call.begun = True
            work = asyncio.get_running_loop().run_in_executor(self._threads, call.function)
            work.add_done_callback(partial(self._end, call.future))

    async def _wait_beside(self, call: _Call, departure: Departure) -> None:
        """Until the call has an answer, or its client has left. Raises ClientGoneError where it had not begun then."""
        leaving = asyncio.ensure_future(departure())
        try:
            await asyncio.wait((call.future, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
        if self._drop(call):
            raise ClientGoneError("the client left before its request was begun")

    def _drop(self, call: _Call) -> bool:
        """Give up a call that has not begun; False for any other."""
        if call.begun or call.future.done():
            return False
        lane = self._lanes[call.lane]
        lane.remove(call)
        if not lane:
            del self._lanes[call.lane]
        call.future.cancel()
        return True

    def _end(self, future: asyncio.Future[object], work: asyncio.Future[object]) -> None:
        self._free += 1
        if work.cancelled():
            future.cancel()
        elif error := work.exception():
            future.set_exception(error)
        else:
            future.set_result(work.result())
        self._begin()

    def _release(self, future: asyncio.Future[object]) -> None:
        self._admitted -= 1
        if not future.cancelled():
            # Marks the exception as seen where the waiter has gone.
            future.exception()


class Slots:
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
