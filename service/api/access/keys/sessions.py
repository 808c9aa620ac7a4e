"""The page's session: a signed cookie that names a key by its id, for event streams and pictures carry no header.

Nothing is kept of it here: it ends with its time, with its key, and with the secret that signs it.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Final

import anyio.to_thread
from itsdangerous import BadSignature, TimestampSigner
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from service.errors import ConvscopeError

COOKIE: Final = "convscope_session"
# Between the clocks of two machines.
_SKEW_SECONDS: Final = 300


class SessionsUnavailableError(ConvscopeError):
    code = "sessions_unavailable"


class Sessions:
    """`find_secret` blocks, and raises SessionsUnavailableError; it is called once, by the first session."""

    def __init__(self, find_secret: Callable[[], bytes], seconds: float) -> None:
        self._find_secret = find_secret
        self._seconds = seconds
        self._signer: TimestampSigner | None = None

    async def begin(self, response: Response, scope: Scope, key_id: str) -> None:
        """Send the cookie of a new session with an answer."""
        value = (await self._load()).sign(key_id).decode()
        response.set_cookie(
            COOKIE,
            value,
            max_age=int(self._seconds),
            path=_path(scope),
            secure=scope["scheme"] == "https",
            httponly=True,
            samesite="strict",
        )

    def end(self, response: Response, scope: Scope) -> None:
        """Have the browser forget the cookie."""
        response.delete_cookie(
            COOKIE, path=_path(scope), secure=scope["scheme"] == "https", httponly=True, samesite="strict"
        )

    async def find_key_ids(self, headers: Headers) -> list[str] | None:
        """The ids of the keys of the sessions that came along and last; None where none came at all."""
        values = list(_cookies(headers))
        if not values:
            return None
        signer = await self._load()
        return [key_id for value in values if (key_id := self._open(signer, value)) is not None]

    def _open(self, signer: TimestampSigner, value: str) -> str | None:
        try:
            key_id, begun = signer.unsign(value, return_timestamp=True)
        except BadSignature:
            return None
        is_current = -_SKEW_SECONDS < time.time() - begun.timestamp() < self._seconds
        return key_id.decode() if is_current else None

    async def _load(self) -> TimestampSigner:
        if self._signer is None:
            secret = await anyio.to_thread.run_sync(self._find_secret)
            self._signer = TimestampSigner(
                secret, salt=b"convscope.session", key_derivation="hmac", digest_method=hashlib.sha256
            )
        return self._signer


def _cookies(headers: Headers) -> Iterator[str]:
    # Several: a service above in the same host's paths may have its own, and a browser sends both.
    for header in headers.getlist("cookie"):
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE:
                yield value


def _path(scope: Scope) -> str:
    return scope.get("root_path", "").rstrip("/") or "/"
