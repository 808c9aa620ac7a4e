"""What one request holds from its head to its end: a place among those computed, and memory for its body.

An entry knows how long its client was waited for: time in which the event loop was busy with others does not count, and
a body that has come is never too late.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

from starlette.types import Message, Receive, Scope

from service.api.requests.uploads import BodyTimeoutError
from service.errors import ConvscopeError

# How often all bodies that are waited for are looked at. A wait counts for no longer than that each time.
LOOK_SECONDS: Final = 0.05
# A body that has been waited for so long leaves its place to others until it has come.
_ASIDE_SECONDS: Final = 0.02
# It may have come by halves before, for so long, until others may need its memory.
_GRACE_SECONDS: Final = 0.5
_KEY: Final = "entry"


class Holder(Protocol):
    """Who is given back what an entry holds."""

    def give_place(self, entry: "Entry") -> None: ...
    def return_to_place(self, entry: "Entry") -> None: ...
    def note_answer(self) -> None: ...
    def give_bytes(self, count: int) -> None: ...
    def stop_waiting(self, entry: "Entry") -> None: ...
    def end(self, entry: "Entry") -> None: ...


@dataclass(eq=False)
class Entry:
    """`held` are bytes of memory, `announced` those of the body, which may take `seconds`, and more at that `rate`."""

    holder: Holder
    owner: str
    held: int
    announced: int
    seconds: float
    rate: float = math.inf
    received: int = 0
    awaited: float = 0.0
    has_place: bool = True
    _since: float | None = field(default=None, init=False)
    _seen: int = field(default=0, init=False)
    _users: int = field(default=1, init=False)
    _is_lent: bool = field(default=False, init=False)
    _is_whole: bool = field(default=False, init=False)
    _timeout: asyncio.Timeout | None = field(default=None, init=False)
    _error: ConvscopeError | None = field(default=None, init=False)

    @property
    def is_awaited(self) -> bool:
        """Whether the body has not come yet, and is waited for now."""
        return self._since is not None

    @property
    def was_stopped(self) -> bool:
        return self._error is not None

    def allow(self, seconds: float, rate: float) -> None:
        """How long the body may take, and a second more for every `rate` bytes that have come."""
        self.seconds, self.rate = seconds, rate

    async def receive(self, receive: Receive) -> Message:
        """ASGI's next message. Raises BodyTimeoutError, or what the entry was stopped with."""
        if self._is_whole:
            return await receive()
        if self._error is not None:
            raise self._error
        self._since = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(None) as self._timeout:
                message = await receive()
        except TimeoutError:
            assert self._error is not None, "nobody else sets the timeout"
            raise self._error from None
        finally:
            self.look(asyncio.get_running_loop().time(), LOOK_SECONDS)
            self._since = self._timeout = None
        self._count(message)
        return message

    def look(self, now: float, most: float) -> None:
        """Count how long the client has been waited for since the last look."""
        if self._since is not None:
            self.awaited += min(now - self._since, most)
            self._since = now
            if self.has_place and self.awaited >= _ASIDE_SECONDS:
                self.holder.give_place(self)

    def is_late(self) -> bool:
        """Whether nothing came between two looks, and the time for it is over."""
        has_come, self._seen = self.received > self._seen, self.received
        return self.is_awaited and not has_come and self.awaited > self.seconds + self.received / self.rate

    def is_behind(self) -> bool:
        """Whether the body comes more slowly than it would have to, and may give way to others."""
        if not self.is_awaited or self.awaited < _GRACE_SECONDS:
            return False
        return self.received / max(1, self.announced) < self.awaited / self.seconds

    def pace(self) -> float:
        """Share of the body that has come in each second."""
        return self.received / max(1, self.announced) / max(LOOK_SECONDS, self.awaited)

    def stop(self, error: ConvscopeError) -> None:
        """End the reading of the body with an error, and let go of all at once."""
        self._error = error
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time())
        self.holder.stop_waiting(self)
        self._let_go()

    def keep(self, count: int) -> None:
        """Hold no more than so many bytes from now on."""
        if count < self.held:
            self.holder.give_bytes(self.held - count)
            self.held = count

    def lend(self) -> Callable[[], None]:
        """Leave the place to a computation, which calls this once it has ended, whoever still waits for it."""
        self._users += 1
        self._is_lent = True
        return self._end_loan

    def close(self) -> None:
        """The request has ended."""
        self.holder.stop_waiting(self)
        if not self._is_lent:
            self._give_place()
        self._leave()
        self.holder.end(self)

    def _count(self, message: Message) -> None:
        """Raises what `return_to_place` raises."""
        has_left = message["type"] != "http.request"
        self.received += len(message.get("body", b""))
        self._is_whole = has_left or not message.get("more_body", False)
        if not self._is_whole:
            return
        self.holder.stop_waiting(self)
        if has_left:
            self._give_place()
        elif not self.has_place:
            self.holder.return_to_place(self)

    def _end_loan(self) -> None:
        self._give_place()
        self.holder.note_answer()
        self._leave()

    def _leave(self) -> None:
        self._users -= 1
        if not self._users:
            self.keep(0)

    def _let_go(self) -> None:
        self._give_place()
        self.keep(0)

    def _give_place(self) -> None:
        if self.has_place:
            self.holder.give_place(self)


def too_slow(entry: Entry) -> BodyTimeoutError:
    """Why a body is not waited for any longer."""
    more = "" if math.isinf(entry.rate) else f" and one more for every {entry.rate:g} bytes of it"
    return BodyTimeoutError(f"the body did not arrive within {entry.seconds:g} seconds{more}")


def note_entry(scope: Scope, entry: Entry) -> None:
    scope.setdefault("state", {})[_KEY] = entry


def entry_of(scope: Scope) -> Entry | None:
    """What the request holds, where it came with a body."""
    return cast("Entry | None", scope.get("state", {}).get(_KEY))


def require_entry(scope: Scope) -> Entry:
    """What every request that is let in holds."""
    entry = entry_of(scope)
    assert entry is not None, "Admission.hold is around whatever computes"
    return entry
