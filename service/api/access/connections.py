"""uvicorn's HTTP/1.1 protocol, with bounds on what clients may hold without being answered.

uvicorn closes a connection that is idle after an answer, and h11 refuses a head that grows too large before its end.
What is missing there is here: how many connections there may be, how long a head may take, how large it may be when it
comes at once, in how small pieces a body may come, and for how long an answer may not be read.

Where there are as many as may be, a new connection takes the place of the one that has waited longest without a
request; where all are being answered, it hears 503, but for probes.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import h11
from starlette._utils import get_route_path
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from service.api.access import PROBES
from service.api.access.early import EarlyRefusal
from service.api.access.prefixes import place
from service.api.headers import secure
from service.api.problems import respond

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

# As other servers have it: h11's own bound on a head that has not ended, and Apache's on its lines.
_MAX_HEAD_BYTES: Final = 16 * 1024
_MAX_HEAD_LINES: Final = 100
# Each piece of a body takes some microseconds of the event loop. TCP's smallest segments have 536 bytes.
_FREE_PIECES: Final = 256
_LEAST_MEAN_BYTES: Final = 128
# Beyond the limit, for probes and for saying 503.
_SPARE: Final = 64
_FULL: Final = "there are as many connections as there may be: try again in a moment"
# The head of a connection as young as this may be here already, unread.
_FRESH_SECONDS: Final = 0.1


class RefusedError(h11.RemoteProtocolError):
    """What a client did that is no fault of HTTP, but more than is taken."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class BoundedParser(h11.Connection):
    """h11's parser; what it is given at once is bounded as what comes in parts is. `refusal` is why it has stopped."""

    refusal: RefusedError | None = None
    _pieces = 0
    _bytes = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """See h11. Raises RefusedError, once."""
        if self.their_state is h11.IDLE:
            self._pieces = self._bytes = 0
            self._bound_head(self.trailing_data[0][: _MAX_HEAD_BYTES + 1])
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._pieces += 1
            self._bytes += len(event.data)
            if self._pieces > _FREE_PIECES + self._bytes // _LEAST_MEAN_BYTES:
                self._refuse("body_in_pieces", f"the body comes in pieces of less than {_LEAST_MEAN_BYTES} bytes")
        return event

    def _bound_head(self, data: bytes) -> None:
        ends = [place for place in (data.find(b"\n\r\n"), data.find(b"\n\n")) if place >= 0]
        end = min(ends, default=len(data))
        if end > _MAX_HEAD_BYTES or data.count(b"\n", 0, end) > _MAX_HEAD_LINES:
            limits = f"{_MAX_HEAD_BYTES} bytes and {_MAX_HEAD_LINES} headers"
            self._refuse("head_too_large", f"a request's path and headers may have {limits}")

    def _refuse(self, code: str, detail: str) -> None:
        self.refusal = RefusedError(code, detail)
        raise self.refusal


@dataclass(frozen=True)
class ConnectionLimits:
    """`head_seconds` is from the connection, or from the answer before, to the end of a request's headers.

    A client that is being sent something takes some of it in `stall_seconds`.
    """

    connections: int
    head_seconds: float
    stall_seconds: float = 30.0


@dataclass(frozen=True)
class Bounds:
    """What the connections of one server share: the limits, and since when which have no request, in that order.

    `root_path` is where clients see the service, for what is answered here. `early` refuses by first bytes.
    """

    limits: ConnectionLimits
    root_path: str = ""
    early: EarlyRefusal | None = None
    idle: "dict[BoundedProtocol, float]" = field(default_factory=dict)


class BoundedProtocol(H11Protocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        bounds: Bounds,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn: BoundedParser = BoundedParser(h11.SERVER, _MAX_HEAD_BYTES)
        self.app = cast("ASGI3Application", partial(self._answer, cast("ASGIApp", self.app)))
        self._bounds = bounds
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        # Of a request that was refused early: how much of its body is to come, and is dropped.
        self._missing, self._closes = 0, False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        if len(self.connections) > self._bounds.limits.connections:
            self._find_room()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        super().connection_lost(exc)
        self._bounds.idle.pop(self, None)
        for timer in filter(None, (self._deadline, self._stall)):
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        while self._missing or (self._bounds.early is not None and self._is_between()):
            left = self._drop_early(data)
            if not left:
                return
            if left is data:
                break
            data = left
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """See uvicorn."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """See asyncio."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """See asyncio."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def send_400_response(self, msg: str) -> None:
        """See uvicorn: in its place, a problem that says what is wrong."""
        refusal = self.conn.refusal
        self._refuse(*(("bad_request", msg) if refusal is None else (refusal.code, refusal.detail)))

    def _is_between(self) -> bool:
        """Whether the next byte is the first of a request."""
        return self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0] and not self.transport.is_closing()

    def _drop_early(self, data: bytes) -> bytes:
        """Answer a request that is refused by its first bytes, and drop its body; what goes the usual way is left."""
        if not self._missing:
            assert self._bounds.early is not None
            refused = self._bounds.early.refuse(data)
            if refused is None:
                return data
            self._unset_keepalive_if_required()
            self.transport.write(refused.answer)
            self._missing, self._closes = refused.missing, refused.closes
            self._wait_anew()
            left = b""
        else:
            left = bytes(data[self._missing :])
            self._missing = max(0, self._missing - len(data))
        if self._missing == 0 and self._closes:
            self.transport.close()
        elif self._missing == 0:
            self._wait_anew()
        return b"" if self._closes else left

    def _wait_anew(self) -> None:
        """The time for the next request's head, and for the rest of a body that is dropped, begins now."""
        self._bounds.idle.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._watch()

    def _watch(self) -> None:
        """Whether this connection is being answered, or waits for a request, and then no longer than it may."""
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and self._deadline is None and not self.transport.is_closing():
            self._bounds.idle[self] = self.loop.time()
            self._deadline = self.loop.call_later(self._bounds.limits.head_seconds, self._give_up)
        elif not is_idle and self._deadline is not None:
            self._bounds.idle.pop(self, None)
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            seconds = self._bounds.limits.head_seconds
            self._refuse("head_timeout", f"the request's headers did not arrive within {seconds:g} seconds")
        else:
            self.transport.close()

    def _watch_reader(self, before: int | None = None) -> None:
        left = self.transport.get_write_buffer_size()
        if before is not None and left >= before:
            self.transport.abort()
        else:
            self._stall = self.loop.call_later(self._bounds.limits.stall_seconds, self._watch_reader, left)

    def _find_room(self) -> None:
        """Close idle connections, the longest idle first; where that is not enough, and too many are busy, this one."""
        limit, idle = self._bounds.limits.connections, self._bounds.idle
        before = self.loop.time() - _FRESH_SECONDS
        while len(self.connections) > limit and idle and next(iter(idle.values())) < before:
            longest = next(iter(idle))
            del idle[longest]
            self.connections.discard(longest)
            longest.transport.abort()
        if len(self.connections) > limit + _SPARE:
            self._refuse("connections_full", _FULL)

    async def _answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        place(scope, self._bounds.root_path)
        has_room = len(self.connections) - len(self._bounds.idle) <= self._bounds.limits.connections
        if has_room or get_route_path(scope) in PROBES:
            await app(scope, receive, send)
            return
        response = respond(Request(scope), "connections_full", _FULL, headers={"Connection": "close"})
        secure(response.headers)
        await response(scope, receive, send)

    def _refuse(self, code: str, detail: str) -> None:
        """Answer with a problem, where no answer has begun, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            path = self.scope["path"] if self.scope is not None and self.conn.their_state is not h11.IDLE else "/"
            scope: Scope = {"type": "http", "path": path}
            place(scope, self._bounds.root_path)
            response = respond(Request(scope), code, detail, headers={"Connection": "close"})
            secure(response.headers)
            head = h11.Response(status_code=response.status_code, headers=response.raw_headers)
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def make_protocol(
    limits: ConnectionLimits, root_path: str = "", early: EarlyRefusal | None = None
) -> type[asyncio.Protocol]:
    """What uvicorn's `http` takes."""
    return cast("type[asyncio.Protocol]", partial(BoundedProtocol, bounds=Bounds(limits, root_path, early)))
