"""ASGI middleware before all routes: what a request with a body will hold is held before any of the body is read.

Who is refused hears it at once, in place of `100 Continue` where it waits for that. What it sends nevertheless is read
and dropped for a while: a connection that is closed before would take the answer with it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.access.callers import Caller, caller_of
from service.api.problems import respond
from service.api.requests.admission import Admission
from service.api.requests.bodies import BodyLimits, body_memory
from service.api.requests.entries import Entry, note_entry
from service.errors import ConvscopeError, ServerBusyError

# So many bytes are dropped at most, in so many seconds; connections with less to come are kept.
_DROPPED_BYTES: Final = 2**22
_DROPPING_SECONDS: Final = 2.0
_KEPT_BYTES: Final = 2**18
# Bodies that do not come leave their places in a moment: after each of these it is tried again.
_PATIENCE_SECONDS: Final = (0.02, 0.02, 0.02, 0.02)
_MAX_DIGITS: Final = 15


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
    """See above. `metrics` counts who is refused, by reason."""

    def __init__(self, app: ASGIApp, admission: Admission, limits: BodyLimits, at_a_time: int) -> None:
        self._app, self._admission, self._limits = app, admission, limits
        self._at_a_time = at_a_time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = Head.of(scope) if scope["type"] == "http" else None
        if head is None or head.length == 0:
            await self._app(scope, receive, send)
            return
        caller = caller_of(scope)
        try:
            entry = await self._enter(caller, head)
        except ConvscopeError as error:
            await _refuse(scope, head, error, receive, send)
            return
        note_entry(scope, entry)

        async def receive_counted() -> Message:
            return await entry.receive(receive)

        try:
            await self._app(scope, receive_counted, send)
        finally:
            entry.close()

    async def _enter(self, caller: Caller, head: Head) -> Entry:
        memory = body_memory(head.media_type, head.length, self._limits)
        announced = memory if head.length is None else head.length
        at_a_time = caller.overrides.get("requests_at_a_time", self._at_a_time) if caller.owner else None
        for patience in _PATIENCE_SECONDS:
            try:
                return self._admission.enter(caller.owner, announced, memory, at_a_time=at_a_time)
            except ServerBusyError:
                if not self._admission.waits_for_readers():
                    raise
            await asyncio.sleep(patience)
        return self._admission.enter(caller.owner, announced, memory, at_a_time=at_a_time)


async def _refuse(scope: Scope, head: Head, error: ConvscopeError, receive: Receive, send: Send) -> None:
    """Answer with the problem, whole; then drop what comes of the body, and end the answer."""
    closes = head.expects or head.length is None or head.length > _KEPT_BYTES
    headers = {"Connection": "close"} if closes else {}
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
