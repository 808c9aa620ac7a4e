"""Who asks, said by a header of the test in place of a key. No tests."""

from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.access.callers import ANYONE, Caller, note_caller

_HEADER: Final = b"x-caller"


class TestKeys:
    """ASGI middleware: a request with that header is the caller's of that name, any other anyone's."""

    __test__ = False

    def __init__(self, app: ASGIApp, callers: dict[str, Caller]) -> None:
        self._app, self._callers = app, callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name = dict(scope["headers"]).get(_HEADER, b"").decode()
            note_caller(scope, self._callers.get(name, ANYONE))
        await self._app(scope, receive, send)


def know_callers(app: FastAPI, callers: dict[str, Caller]) -> None:
    """To be called before the application has answered anything."""
    app.add_middleware(TestKeys, callers=callers)


def by(name: str) -> dict[str, str]:
    """The headers of a request of that caller."""
    return {_HEADER.decode(): name}
