"""A bounded executor: so many requests computed at once, so many waiting, the rest refused at once. Likewise places."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

from service.api.requests.lanes import FairLanes
from service.errors import ClientGoneError, ServerBusyError

T = TypeVar("T")
# Ends when the client has left.
Departure = Callable[[], Awaitable[None]]


def _do_nothing() -> None:
    """Nobody has to be told."""


@dataclass(frozen=True)
class Waiter:
    """Who waits for a call: it takes turns with those of other owners and lanes. `departure` ends when it has left.

    `reserved`: it holds a place already. `abandon` is called when it leaves while the call runs; `ended` once the call
    has come to an end, or was dropped, whoever still waits.
    """

    owner: str = ""
    lane: str = ""
    departure: Departure | None = None
    reserved: bool = False
    abandon: Callable[[], None] = _do_nothing
    ended: Callable[[], None] = _do_nothing


_ANYONE = Waiter()


@dataclass(eq=False)
class _Call:
    function: Callable[[], object]
    future: asyncio.Future[object]
    waiter: Waiter
    begun: bool = False


class BoundedExecutor:
    """Runs functions on threads, never on the event loop. To be used from the event loop alone."""

    def __init__(self, *, running: int, waiting: int, name: str = "compute") -> None:
        self._threads = ThreadPoolExecutor(running, thread_name_prefix=name)
        self._running = running
        self._free = running
        self.slots = running + waiting
        self._admitted = 0
        self._lanes: FairLanes[_Call] = FairLanes()

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

    async def run(self, function: Callable[[], T], waiter: Waiter = _ANYONE) -> T:
        """Run `function` on a thread as soon as one is free. Raises ServerBusyError, or what `function` raises.

        It is dropped where it has not begun when the waiter is cancelled, or when the client has left, which raises
        ClientGoneError.
        """
        if not waiter.reserved:
            self.require_room()
        self._admitted += 1
        call = _Call(function, asyncio.get_running_loop().create_future(), waiter)
        # Not in a `finally`: a cancelled waiter leaves a function that has begun running, and that still takes a place.
        call.future.add_done_callback(partial(self._release, waiter))
        self._lanes.put(waiter.owner, waiter.lane, call)
        self._begin()
        try:
            if waiter.departure is not None:
                await self._wait_beside(call, waiter.departure)
            answer = await asyncio.shield(call.future)
        except asyncio.CancelledError:
            self._give_up(call)
            raise
        # Calls of all kinds wait in one lane.
        return cast("T", answer)

    def close(self) -> None:
        """Give up what has not begun."""
        for call in self._lanes:
            call.future.cancel()
        self._lanes.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        while self._free and self._lanes:
            call = self._lanes.pop()
            self._free -= 1
            call.begun = True
            work = asyncio.get_running_loop().run_in_executor(self._threads, call.function)
            work.add_done_callback(partial(self._end, call.future))

    async def _wait_beside(self, call: _Call, departure: Departure) -> None:
        """Until the call has an answer. Raises ClientGoneError where its client has left before."""
        leaving = asyncio.ensure_future(departure())
        try:
            await asyncio.wait((call.future, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
        if not call.future.done():
            self._give_up(call)
            raise ClientGoneError("the client left before its request was answered")

    def _give_up(self, call: _Call) -> None:
        """Drop a call that has not begun; tell one that runs that nobody waits for it."""
        if call.future.done():
            return
        if call.begun:
            call.waiter.abandon()
            return
        self._lanes.remove(call.waiter.owner, call.waiter.lane, call)
        call.future.cancel()

    def _end(self, future: asyncio.Future[object], work: asyncio.Future[object]) -> None:
        self._free += 1
        if work.cancelled():
            future.cancel()
        elif error := work.exception():
            future.set_exception(error)
        else:
            future.set_result(work.result())
        self._begin()

    def _release(self, waiter: Waiter, future: asyncio.Future[object]) -> None:
        self._admitted -= 1
        if not future.cancelled():
            # Marks the exception as seen where the waiter has gone.
            future.exception()
        waiter.ended()


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
