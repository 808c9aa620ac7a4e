"""By which address clients see the service: below which path, by which host and scheme, as its proxies tell.

The path comes with a request or without, as a proxy keeps it or takes it off. What follows knows it as ASGI has it:
`root_path`, with which the `path` begins. `X-Forwarded-Host` and `-Prefix` are there for what follows only where a
trusted proxy has said them.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit, urlunsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.api.access.hosts import FORWARDED_HOST, parse_host
from service.api.problems import respond
from service.prefixes import parse_prefix

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

_FORWARDED_PREFIX: Final = "x-forwarded-prefix"
_FORWARDED_PROTO: Final = "x-forwarded-proto"
_SCHEMES: Final = ("http", "https")
_OURS: Final = frozenset(name.encode() for name in (FORWARDED_HOST, _FORWARDED_PREFIX))
_REDIRECTS: Final = (HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT)


class ForwardedAddress:
    """ASGI middleware, around all that look at addresses: believes `proxies`, addresses or networks, and nobody else.

    `root_path` is the prefix where it is set; a proxy's `X-Forwarded-Prefix` counts where it is empty.
    """

    def __init__(self, app: ASGIApp, root_path: str, proxies: Sequence[str]) -> None:
        self._app, self._root_path = app, root_path
        # It reads X-Forwarded-For and -Proto, and knows networks.
        self._proxied = ProxyHeadersMiddleware(cast("ASGI3Application", app), list(proxies))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A server may have placed it already.
        prefix, fault = self._root_path or scope.get("root_path", ""), None
        peer = scope.get("client")
        if peer is not None and peer[0] in self._proxied.trusted_hosts:
            try:
                prefix = _read_forwarded(Headers(scope=scope), prefix)
            except ValueError as error:
                fault = str(error)
        else:
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in _OURS]
        place(scope, prefix)
        if fault is not None:
            await respond(Request(scope), "forwarded_invalid", fault)(scope, receive, send)
            return
        await cast("ASGIApp", self._proxied)(scope, receive, _redirect_within(send))


def place(scope: Scope, prefix: str) -> None:
    """Note where the service is, and have the path begin with it."""
    scope["root_path"], path = prefix, scope["path"]
    if prefix and path != prefix and not path.startswith(f"{prefix}/"):
        scope["path"] = prefix + path
        if scope.get("raw_path") is not None:
            scope["raw_path"] = prefix.encode() + scope["raw_path"]


def _read_forwarded(headers: Headers, root_path: str) -> str:
    """The prefix. Raises ValueError where one of the headers makes no sense."""
    host, proto = _single(headers, FORWARDED_HOST), _single(headers, _FORWARDED_PROTO)
    if host and parse_host(host) is None:
        raise ValueError("X-Forwarded-Host is no name of a host, as the trusted proxy sends it")
    if proto and proto not in _SCHEMES:
        raise ValueError("X-Forwarded-Proto is neither http nor https, as the trusted proxy sends it")
    if root_path:
        return root_path
    try:
        return parse_prefix(_single(headers, _FORWARDED_PREFIX))
    except ValueError as error:
        raise ValueError(f"X-Forwarded-Prefix, as the trusted proxy sends it: {error}") from error


def _single(headers: Headers, name: str) -> str:
    """What a header says, once; empty where it is missing. A list would leave open which of its proxies is meant."""
    values = headers.getlist(name)
    if len(values) > 1:
        raise ValueError(f"{name.title()} comes twice: the trusted proxy has to replace what clients send")
    return values[0].strip() if values else ""


def _redirect_within(send: Send) -> Send:
    """Redirects that the router makes name a scheme and a host, which only the outermost proxy knows: paths do."""

    async def send_path(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] in _REDIRECTS:
            headers = MutableHeaders(scope=message)
            to = urlsplit(headers.get("location", ""))
            headers["location"] = urlunsplit(("", "", f"/{to.path.lstrip('/')}", to.query, ""))
        await send(message)

    return send_path
