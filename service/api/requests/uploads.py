"""How many large bodies are received at the same time. Whoever dawdles gives way to others, and is else left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from service.errors import ConvscopeError, ServerBusyError

# How long a client may send nothing at all before it is slow.
GRACE_SECONDS: Final = 5.0
_WAITING: Final = 16
_LOOK_SECONDS: Final = 0.1


class BodyTimeoutError(ConvscopeError):
    code = "body_timeout"


@dataclass(eq=False)
class Upload:
    """One body on its way. `due` is when its client is slow, unless more has come until then."""

    missing: int
    slowest: float
    grace_seconds: float
    timeout: asyncio.Timeout
    due: float = field(init=False)

    def __post_init__(self) -> None:
        self.due = monotonic() + self.grace_seconds

    def received(self, count: int) -> None:
        """To be told of all bytes as they come; a burst counts for the grace at most, as does a pause."""
        now = monotonic()
        earned = max(self.due, now - self.grace_seconds) + count / self.slowest
        self.due = min(earned, now + self.grace_seconds)
        self.missing -= count

    def is_slow(self) -> bool:
        return self.missing > 0 and self.due < monotonic()


class Uploads:
    """So many slots. To be used from the event loop alone.

    `slowest` is in bytes per second: what comes more slowly could not end in time anyhow.
    """

    def __init__(self, slots: int, *, slowest: float, grace_seconds: float = GRACE_SECONDS) -> None:
        self._slots = slots
        self._slowest = slowest
        self._grace_seconds = grace_seconds
        self._taken: set[Upload] = set()
        self._line = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def take(self, size: int) -> AsyncIterator[Upload]:
        """Hold a place for so many bytes while the block runs.

        Raises ServerBusyError, and BodyTimeoutError for one that gave way.
        """
        await self._wait()
        try:
            async with asyncio.timeout(None) as timeout:
                upload = Upload(size, self._slowest, self._grace_seconds, timeout)
                self._taken.add(upload)
                try:
                    yield upload
                finally:
                    self._taken.discard(upload)
        except TimeoutError as error:
            raise BodyTimeoutError(
                f"the body came more slowly than {self._slowest:.0f} bytes a second, and others wait to send theirs"
            ) from error

    async def _wait(self) -> None:
        """For a place, in the order of arrival."""
        refusal = ServerBusyError("as many datasets are received as may be at the same time: try again in a moment")
        if self._waiting >= _WAITING:
            raise refusal
        # As many as there are slots may dawdle, one party after the other, before it is this one's turn.
        patience = self._grace_seconds * (1 + self._waiting // self._slots) + 1
        self._waiting += 1
        try:
            async with asyncio.timeout(patience), self._line:
                # Time alone makes room too.
                while not self._has_room():  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise refusal from None
        finally:
            self._waiting -= 1

    def _has_room(self) -> bool:
        if len(self._taken) < self._slots:
            return True
        slow = [upload for upload in self._taken if upload.is_slow()]
        if not slow:
            return False
        slowest = min(slow, key=lambda upload: upload.due)
        # At once, as its task may not run before the next one looks.
        self._taken.discard(slowest)
        slowest.timeout.reschedule(asyncio.get_running_loop().time())
        return True
