"""Which names the service answers to.

A page can have its own name resolve to 127.0.0.1 (DNS rebinding): the browser then takes the service for that page's
own server, and lets the page read and delete. Its requests give themselves away by the `Host` they name. An address in
that place was never looked up, so that every address is taken.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.access import EXEMPT
from service.api.problems import respond
from service.engine.nearest import shorten

# Here only where a trusted proxy says it.
FORWARDED_HOST: Final = "x-forwarded-host"
_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[^\s:/?#@\[\]]{1,255})(?::(?P<port>[0-9]{0,5}))?")


@dataclass(frozen=True)
class Host:
    """Lower case, without a root's dot; `port` is None where the scheme's own is meant."""

    name: str
    port: int | None


@dataclass(frozen=True)
class HostNames:
    """Names that are answered to, beside addresses and loopback: whole ones, `*.example.com` (not itself), or `*`."""

    patterns: Sequence[str] = ()

    def allows(self, name: str) -> bool:
        if name == "localhost" or name.endswith(".localhost") or _is_address(name):
            return True
        return any(_matches(name, pattern.lower()) for pattern in self.patterns)


def parse_host(text: str) -> Host | None:
    """What a `Host` header, or an origin after its scheme, says; None where it makes no sense."""
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    return Host(match["name"].lower().removesuffix("."), int(match["port"]) if match["port"] else None)


class HostGuard:
    """ASGI middleware: refuses what is meant for another name, but for probes and metrics."""

    def __init__(self, app: ASGIApp, names: HostNames) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or get_route_path(scope) in EXEMPT:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.getlist("host")
        # Both have to be ours: where a proxy passes on what clients write, the second alone would let anybody in.
        foreign = [text for text in (*given, *filter(None, headers.getlist(FORWARDED_HOST))) if not self._allows(text)]
        if len(given) == 1 and not foreign:
            await self._app(scope, receive, send)
            return
        host = parse_host(foreign[0]) if len(given) == 1 else None
        name = host.name if host else ", ".join(given)
        detail = (
            f"this service does not answer to the name '{shorten(name)}': where it is meant, add it to CONVSCOPE_HOSTS"
        )
        await respond(Request(scope), "host_not_allowed", detail)(scope, receive, send)

    def _allows(self, text: str) -> bool:
        host = parse_host(text)
        return host is not None and self._names.allows(host.name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _matches(name: str, pattern: str) -> bool:
    return pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:]))
