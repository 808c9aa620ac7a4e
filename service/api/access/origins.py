"""Whose pages may ask: the service's own alone. Programs, which say nothing of pages, are not asked.

Browsers send a page's requests to any address that it names, also to loopback; that the page cannot read the answers
does not undo what they did. `Sec-Fetch-Site` is the browser's own word, which no page can write; where it is missing
(older browsers, and plain HTTP but to loopback) there is `Origin`, with everything but GET and HEAD.

`same-site` is refused like `cross-site`: to a browser all ports of localhost are one site.
"""

from collections.abc import Collection
from typing import Final

from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.access import EXEMPT
from service.api.access.hosts import FORWARDED_HOST, parse_host
from service.api.problems import respond
from service.engine.nearest import shorten

_READING: Final = frozenset({"GET", "HEAD"})
# The service's own pages, and what no page asked for: the address bar, a bookmark.
_OWN_SITES: Final = ("same-origin", "none")
_PORTS: Final = {"http": 80, "https": 443}


class OriginGuard:
    """ASGI middleware: refuses what a foreign page asks for, but for following a link, and listed origins."""

    def __init__(self, app: ASGIApp, listed: Collection[str] = ()) -> None:
        self._app, self._listed = app, frozenset(listed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or get_route_path(scope) in EXEMPT or not is_foreign(scope):
            await self._app(scope, receive, send)
            return
        origins = Headers(scope=scope).getlist("origin")
        if len(origins) == 1 and origins[0] in self._listed:
            await self._app(scope, receive, send)
            return
        origin = next(iter(origins), "of another site")
        detail = f"a page '{shorten(origin)}' may not ask for this: only the service's own pages may, and programs"
        await respond(Request(scope), "cross_site_refused", detail)(scope, receive, send)


def is_foreign(scope: Scope) -> bool:
    """Whether a page of another origin asks, other than by a link that somebody follows."""
    headers, method = Headers(scope=scope), scope["method"]
    # A preflight asks whether it may ask; only `cross_origin` answers that it may.
    if method == "OPTIONS":
        return False
    sites = headers.getlist("sec-fetch-site")
    if sites:
        is_link = method in _READING and headers.get("sec-fetch-mode") == "navigate"
        return not is_link and any(site not in _OWN_SITES for site in sites)
    origins = headers.getlist("origin")
    return method not in _READING and bool(origins) and origins != [_own(origins[0], scope, headers)]


def _own(origin: str, scope: Scope, headers: Headers) -> str | None:
    """The origin itself where it is that of the request: scheme, name and port. None for all others, also `null`."""
    scheme, _, rest = origin.partition("://")
    given, asked = parse_host(rest), parse_host(headers.get(FORWARDED_HOST) or headers.get("host", ""))
    if given is None or asked is None or scheme != scope["scheme"]:
        return None
    default = _PORTS.get(scheme)
    return origin if (given.name, given.port or default) == (asked.name, asked.port or default) else None
