"""`/ui/session`: the page signs in with a key and gets a cookie, asks who it is, and signs out."""

import asyncio
from contextlib import suppress
from typing import Final

from fastapi import APIRouter, Request, Response
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from starlette.requests import ClientDisconnect

from service.api.access.callers import ANYONE
from service.api.access.keys.authenticator import Authenticator, KeyInvalidError, KeyMissingError, refuse
from service.api.problems import respond

_PATH: Final = "/ui/session"
_MAX_BYTES: Final = 4096
_BODY_SECONDS: Final = 10.0
# Wrong ones, of everybody. Nobody finds 256 random bits at any pace; this bounds what trying costs. A right key is let
# in whatever others try.
_WRONG_PER_SECOND: Final = RateLimitItemPerSecond(20)
_NOT_KEPT: Final = {"Cache-Control": "no-store"}


class SessionState(BaseModel):
    """Whether keys are asked for, and whose session this is; nulls where there is none."""

    keys: bool
    owner: str | None
    role: str | None


class _SignIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: SecretStr


def make_router(authenticator: Authenticator | None) -> APIRouter:
    """The routes; `authenticator` is None where no keys are asked for."""
    router = APIRouter(include_in_schema=False)
    wrong = FixedWindowRateLimiter(MemoryStorage())

    @router.get(_PATH)
    async def look(request: Request, response: Response) -> SessionState:
        response.headers.update(_NOT_KEPT)
        if authenticator is None:
            return SessionState(keys=False, owner=None, role=ANYONE.role)
        with suppress(KeyMissingError, KeyInvalidError):
            key = await authenticator.identify(request.scope)
            return SessionState(keys=True, owner=key.owner, role=key.role)
        return SessionState(keys=True, owner=None, role=None)

    @router.post(_PATH)
    async def sign_in(request: Request) -> Response:
        response = Response(status_code=204, headers=_NOT_KEPT)
        if authenticator is None:
            return response
        given = await _read_key(request)
        if isinstance(given, Response):
            return given
        try:
            key = authenticator.check(given.strip())
        except KeyInvalidError as error:
            if wrong.hit(_WRONG_PER_SECOND):
                return refuse(request.scope, error)
            detail = "too many wrong keys in this second: try again in the next"
            return respond(request, "rate_limited", detail, headers={"Retry-After": "1"})
        await authenticator.sessions.begin(response, request.scope, key.id)
        return response

    @router.delete(_PATH)
    async def sign_out(request: Request) -> Response:
        response = Response(status_code=204, headers=_NOT_KEPT)
        if authenticator is not None:
            authenticator.sessions.end(response, request.scope)
        return response

    return router


async def _read_key(request: Request) -> str | Response:
    """The key in the body, or why there is none; no answer repeats what came."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        # A form could be sent by any page.
        return respond(request, "unsupported_media_type", 'send application/json: {"key": "…"}')
    data = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > _MAX_BYTES:
                    return respond(request, "body_too_large", f"the body is larger than {_MAX_BYTES} bytes")
    except TimeoutError:
        return respond(request, "body_timeout", f"the body did not arrive within {_BODY_SECONDS:g} seconds")
    except ClientDisconnect:
        return respond(request, "body_incomplete", "the connection ended before the body did")
    try:
        return _SignIn.model_validate_json(data).key.get_secret_value()
    except ValidationError:
        return respond(request, "invalid_parameters", 'the body is a JSON object with the key: {"key": "…"}')
