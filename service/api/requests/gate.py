"""ASGI middleware before all routes: what a request with a body will hold is held before any of the body is read.

Who is refused hears it at once, in place of `100 Continue` where it waits for that. What it sends nevertheless is read
and dropped for a while: a connection that is closed before would take the answer with it.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from starlette._utils import get_route_path
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.access.callers import Caller, caller_of
from service.api.problems import respond
from service.api.requests.admission import Admission, BodyMemoryError, OwnerBusyError
from service.api.requests.bodies import BodyLimits, body_memory
from service.api.requests.entries import Entry, note_entry
from service.api.requests.rates import Quota, RateLimitedError, Rates, require
from service.errors import ServerBusyError

# So many bytes are dropped at most, in so many seconds; connections with less to come are kept.
_DROPPED_BYTES: Final = 2**22
_DROPPING_SECONDS: Final = 2.0
_KEPT_BYTES: Final = 2**18
# Bodies that do not come leave their places in a moment: after each of these it is tried again.
_PATIENCE_SECONDS: Final = (0.02,) * 10
_MAX_DIGITS: Final = 15
# Probes, the page's files and documents are not counted.
_COUNTED: Final = ("/v1/", "/v2/")

_Refused = ServerBusyError | RateLimitedError
Reason = Literal["places", "memory", "rate", "at_a_time", "slow"]


@dataclass(frozen=True)
class Head:
    """What a request's head says of its body: `length` is None where it does not say, 0 where there is none."""

    length: int | None
    media_type: bytes
    expects: bool

    @classmethod
    def of(cls, scope: Scope) -> "Head":
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        length: int | None = 0
        if b"transfer-encoding" in headers:
            length = None
        elif (given := headers.get(b"content-length", b"0")[:_MAX_DIGITS]).isdigit():
            length = int(given)
        return cls(length, headers.get(b"content-type", b""), b"expect" in headers)


class Gate:
    """See above. `refused` is told why each is that is refused."""

    def __init__(
        self, app: ASGIApp, admission: Admission, rates: Rates, limits: BodyLimits, refused: Callable[[Reason], None]
    ) -> None:
        self._app, self._admission, self._rates, self._limits = app, admission, rates, limits
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller, head, quota = caller_of(scope), Head.of(scope), None
        try:
            if get_route_path(scope).startswith(_COUNTED):
                quota = await self._rates.take(caller)
                send = send if quota is None else partial(_send_with, quota, send)
                require(quota)
            entry = await self._enter(caller, head) if head.length != 0 else None
        except (ServerBusyError, RateLimitedError) as error:
            self._refused(_reason(error))
            await _refuse(scope, head, error, receive, send)
            return
        if entry is None:
            await self._app(scope, receive, send)
            return
        note_entry(scope, entry)

        async def receive_counted() -> Message:
            return await entry.receive(receive)

        try:
            await self._app(scope, receive_counted, send)
        finally:
            if entry.was_stopped:
                self._refused("slow")
            entry.close()

    async def _enter(self, caller: Caller, head: Head) -> Entry:
        memory = body_memory(head.media_type, head.length, self._limits)
        announced = memory if head.length is None else head.length
        for patience in _PATIENCE_SECONDS:
            try:
                return self._admission.enter(caller, announced, memory)
            except ServerBusyError:
                if not self._admission.waits_for_readers(caller.owner):
                    raise
            await asyncio.sleep(patience)
        return self._admission.enter(caller, announced, memory)


def _reason(error: _Refused) -> Reason:
    if isinstance(error, RateLimitedError):
        return "at_a_time" if isinstance(error, OwnerBusyError) else "rate"
    return "memory" if isinstance(error, BodyMemoryError) else "places"


async def _send_with(quota: Quota, send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        MutableHeaders(scope=message).update(quota.headers)
    await send(message)


async def _refuse(scope: Scope, head: Head, error: _Refused, receive: Receive, send: Send) -> None:
    """Answer with the problem, whole; then drop what comes of the body, and end the answer."""
    closes = head.expects or head.length is None or head.length > _KEPT_BYTES
    headers = {"Connection": "close"} if closes else {}
    if isinstance(error, RateLimitedError):
        headers["Retry-After"] = str(error.seconds)
    response = respond(Request(scope), error.code, error.detail, headers=headers)
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    if not head.expects:
        await _drop_body(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drop_body(receive: Receive) -> None:
    dropped, more = 0, True
    try:
        async with asyncio.timeout(_DROPPING_SECONDS):
            while more and dropped < _DROPPED_BYTES:
                message = await receive()
                dropped += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        return
