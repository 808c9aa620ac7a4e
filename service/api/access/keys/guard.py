"""Asks for a key before any route, and before anything is read or kept for a request, and notes who asks."""

from collections.abc import Callable, Mapping

from starlette._utils import get_route_path
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.access.callers import NOBODY, Role, note_caller
from service.api.access.keys.authenticator import REALM, Authenticator, refuse
from service.api.access.keys.key_file import Key
from service.api.access.keys.operations import Operations
from service.api.access.keys.roles import METRICS, is_free, suffices
from service.api.problems import respond
from service.errors import ConvscopeError


class KeyGuard:
    """ASGI middleware: nothing but what is free is answered without a key whose role suffices.

    `refused` is told the code of each that is refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        roles: Mapping[str, Role],
        *,
        refused: Callable[[str], None],
        metrics_are_free: bool,
    ) -> None:
        self._app, self._authenticator, self._roles = app, authenticator, roles
        self._refused, self._metrics_are_free = refused, metrics_are_free
        self._operations: Operations | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._ask(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], get_route_path(scope)
        if is_free(method, path) or (self._metrics_are_free and path == METRICS):
            note_caller(scope, NOBODY)
            await self._app(scope, receive, send)
            return
        try:
            key = await self._authenticator.identify(scope)
        except ConvscopeError as error:
            self._refused(error.code)
            await refuse(scope, error)(scope, receive, send)
            return
        needed = self._needed(scope, method, path)
        if needed is not None and not suffices(key.role, needed):
            self._refused("role_insufficient")
            detail = f"this needs the role '{needed}'; the key of '{key.owner}' has '{key.role}'"
            headers = {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{needed}"'}
            await respond(Request(scope), "role_insufficient", detail, headers=headers)(scope, receive, send)
            return
        note_caller(scope, key.caller)
        await self._app(scope, receive, _Answer(send, self._authenticator, key).send)

    def _needed(self, scope: Scope, method: str, path: str) -> Role | None:
        # At the first request all routes are there.
        if self._operations is None:
            self._operations = Operations(scope["app"].routes, self._roles)
        return self._operations.find_role(method, path)


class _Answer:
    """Marks an answer as one person's, and ends a stream of events with the key that it was begun with."""

    def __init__(self, send: Send, authenticator: Authenticator, key: Key) -> None:
        self._send, self._authenticator, self._key = send, authenticator, key
        self._is_stream = self._is_over = False

    async def send(self, message: Message) -> None:
        if self._is_over:
            return
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Cache-Control", "private")
            self._is_stream = headers.get("content-type", "").startswith("text/event-stream")
        elif self._is_stream and not self._authenticator.is_in_force(self._key):
            # The client asks again, as after a break, and hears why it may not.
            self._is_over = True
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)
