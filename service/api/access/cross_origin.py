"""CORS: pages of listed origins may ask, with a key in a header. Off where none is listed.

Without credentials: the page's cookie is for the service's own page. Starlette's middleware does the work; here is what
is allowed.
"""

from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_METHODS: Final = ("GET", "HEAD", "POST", "DELETE")
_SENT: Final = (
    "Authorization",
    "X-API-Key",
    "Content-Type",
    "Cache-Control",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
)
_READ: Final = (
    "Content-Location",
    "ETag",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
)


class ListedOrigins(CORSMiddleware):
    """ASGI middleware. A preflight of a page that is not listed is a request like others: it hears a problem."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=_SENT,
            expose_headers=_READ,
            # Who lists an origin means it, also where the service is within a network and the page outside.
            allow_private_network=True,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self.is_allowed_origin(Headers(scope=scope).get("origin", "")):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
