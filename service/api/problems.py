"""Errors as answers: RFC 9457 problems, by the table of `problem_types`."""

import errno
import logging
from http import HTTPStatus
from typing import Final, TypedDict
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from schemas.problems import Problem, ProblemError
from service.api.headers import secure
from service.api.problem_types import PROBLEMS
from service.engine.parameters import InvalidParametersError, pointer
from service.errors import ConvscopeError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
# A job has to end first, or to be deleted.
OWNER_RETRY_AFTER_SECONDS = 10
# Here waiting does not help: somebody has to do something.
NOT_PASSING = ("model_failed", "weights_unavailable")
_PASSING: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
# What asks for the same in other words.
_ALSO: Final = {"channels": ("channel",), "images": ("dataset",), "image": ("images",)}
_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


class Members(TypedDict, total=False):
    """What a problem may have beside what all have: `errors`, or KServe's about a model."""

    errors: list[ProblemError] | None
    name: str
    ready: bool
    reason: str


def respond(
    request: Request,
    code: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    members: Members | None = None,
) -> Response:
    """Build the problem+json response of a code; `members` are further members."""
    kind, members = PROBLEMS[code], Members(**(members or {}))
    problem = make_problem(request, code, detail, errors=members.pop("errors", None))
    headers = dict(headers or {})
    if kind.status in _PASSING and code not in NOT_PASSING:
        seconds = OWNER_RETRY_AFTER_SECONDS if code == "owner_limit_reached" else RETRY_AFTER_SECONDS
        headers.setdefault("Retry-After", str(seconds))
    content = {**problem.model_dump(exclude_none=True), **members}
    return Response(to_json(content), kind.status, headers=headers, media_type=MEDIA_TYPE)


def make_problem(request: Request, code: str, detail: str, *, errors: list[ProblemError] | None = None) -> Problem:
    """Describe what is wrong with a request."""
    return Problem(
        type=f"{prefix_of(request)}/problems/{code}",
        title=PROBLEMS[code].title,
        status=PROBLEMS[code].status,
        detail=detail,
        instance=quote(request.scope["path"]),
        code=code,
        errors=errors,
    )


def prefix_of(request: Request) -> str:
    """The path below which the client sees the service; empty for the root."""
    scope = request.scope
    # Of what is mounted, Starlette notes where that is as its root.
    prefix: str = scope.get("app_root_path", scope.get("root_path", ""))
    return prefix


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem."""
    app.add_exception_handler(ConvscopeError, _convscope_error)
    app.add_exception_handler(OSError, _os_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unexpected_error)


def find_parameter(request: Request, field: str | None) -> str | None:
    """What a field is called on this route; None where there is none. Routes with parameters have noted them."""
    parameters: frozenset[str] | None = getattr(request.state, "parameters", None)
    if field is None or parameters is None:
        return field
    names = [name for name in (field, *_ALSO.get(field, ())) if name in parameters]
    given: frozenset[str] = getattr(request.state, "given", frozenset())
    return next((name for name in names if name in given), next(iter(names), None))


async def _convscope_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ConvscopeError)
    errors: list[ProblemError] | None = None
    if isinstance(error, InvalidParametersError):
        errors = error.errors
    elif (name := find_parameter(request, error.field)) is not None:
        errors = [ProblemError(pointer=pointer(name), detail=error.detail)]
    return respond(request, error.code, error.detail, members={"errors": errors})


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code < HTTPStatus.BAD_REQUEST:
        return Response(status_code=error.status_code, headers=error.headers)
    codes = {404: "not_found", 405: "method_not_allowed", 500: "internal_error"}
    code = codes.get(error.status_code, "bad_request")
    details = {
        "not_found": f"there is no route {quote(request.scope['path'])}; {prefix_of(request)}/docs lists the routes",
        "method_not_allowed": f"{request.method} does not work here; the Allow header says what does",
    }
    headers = dict(error.headers or {})
    return respond(request, code, details.get(code, str(error.detail)), headers=headers)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [ProblemError(pointer=pointer(*item["loc"]), detail=item["msg"]) for item in error.errors()]
    return respond(request, "invalid_parameters", "the request does not validate", members={"errors": errors})


async def _os_error(request: Request, error: Exception) -> Response:
    """What is sent is kept in temporary files at several places, some of them other packages' own."""
    assert isinstance(error, OSError)
    if error.errno not in _FULL:
        raise error
    logger.error("no room for temporary files: %r", error)
    detail = "there is no room left for what was sent: try again later, or send less"
    return respond(request, "temporary_storage_full", detail)


async def _unexpected_error(request: Request, error: Exception) -> Response:
    logger.error("unexpected error on %s %s", request.method, request.url.path, exc_info=error)
    response = respond(request, "internal_error", "an unexpected error; the service's log has it")
    # Starlette answers this outside of all middleware.
    secure(response.headers)
    return response
