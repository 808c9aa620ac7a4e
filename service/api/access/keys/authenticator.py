"""Who asks, by what a request brings: `Authorization: Bearer` first, then `X-API-Key`, then the page's cookie."""

import time
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from service.api.access.keys.key_file import PREFIX, Key
from service.api.access.keys.sessions import Sessions
from service.api.access.keys.watched import WatchedKeys
from service.api.access.origins import is_foreign
from service.api.problems import respond
from service.errors import ConvscopeError

REALM: Final = 'Bearer realm="convscope"'
_MISSING: Final = (
    "this needs a key: send it as 'Authorization: Bearer KEY', or sign in on the page at /; who runs the service makes "
    "keys by 'convscope keys new'"
)
_ASK: Final = "ask whoever runs the service for a new one"


class KeyMissingError(ConvscopeError):
    code = "key_missing"


class KeyInvalidError(ConvscopeError):
    code = "key_invalid"


class Authenticator:
    """Asks the keys as they stand at every request, so that what is revoked is over at once, sessions too."""

    def __init__(self, keys: WatchedKeys, sessions: Sessions) -> None:
        self.keys, self.sessions = keys, sessions

    async def identify(self, scope: Scope) -> Key:
        """The key of a request. Raises KeyMissingError, KeyInvalidError or SessionsUnavailableError."""
        headers = Headers(scope=scope)
        given = find_key(headers)
        if given is not None:
            return self.check(given)
        # The cookie is for the service's own page. A browser sends it for others of the same site too, and one whose
        # origin is listed has come so far.
        ids = None if is_foreign(scope) else await self.sessions.find_key_ids(headers)
        if ids is None:
            raise KeyMissingError(_MISSING)
        now = time.time()
        for key_id in ids:
            key = self.keys.current.get(key_id)
            if key is not None and not key.is_over(now):
                return key
        raise KeyInvalidError("the session is over, or its key has been revoked: sign in again")

    def check(self, given: str) -> Key:
        """The line of a key. Raises KeyInvalidError."""
        key = self.keys.current.find(given)
        if key is None:
            what = "has been revoked" if given.startswith(PREFIX) else f"has lost its beginning, '{PREFIX}'"
            raise KeyInvalidError(f"the key is none of this service's, or {what}: {_ASK}")
        if key.is_over(time.time()):
            # No secret: who brings the key has had it from its beginning.
            raise KeyInvalidError(f"the key's time was over on {key.expires:%Y-%m-%d}: {_ASK}")
        return key

    def is_in_force(self, key: Key) -> bool:
        """Whether a key that was good when a request began still is."""
        now = self.keys.current.get(key.id)
        return now is not None and (now.owner, now.role) == (key.owner, key.role) and not now.is_over(time.time())


def refuse(scope: Scope, error: ConvscopeError) -> Response:
    """The problem, with the challenge of RFC 6750 where a key would help."""
    challenges = {KeyMissingError.code: REALM, KeyInvalidError.code: f'{REALM}, error="invalid_token"'}
    headers = {"WWW-Authenticate": challenges[error.code]} if error.code in challenges else {}
    return respond(Request(scope), error.code, error.detail, headers=headers)


def find_key(headers: Headers) -> str | None:
    """The key that a header brings, which comes before the page's cookie. Raises KeyInvalidError where there are two.

    A proxy before the service may have asked for a name and password of its own, by Basic.
    """
    bearers = []
    for header in headers.getlist("authorization"):
        scheme, _, rest = header.strip().partition(" ")
        if scheme.lower() == "bearer":
            bearers.append(rest.strip())
    given = bearers or [header.strip() for header in headers.getlist("x-api-key")]
    if len(given) > 1:
        raise KeyInvalidError("more than one key came along: send one")
    return given[0] if given else None
