"""The Python client of a convscope service. Knows the schemas and HTTP, nothing of the service's inside.

with Client("http://127.0.0.1:8000") as client:
    result = client.run("grad-cam", "shapes", image=Path("star.png"), class_index=3)
    Path("overlay.png").write_bytes(result.images[0].data)
"""

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import ValidationError

from schemas.base import Schema
from schemas.methods import MethodList
from schemas.models import LayerList, ModelDetail, ModelList
from schemas.problems import Problem, ProblemError
from schemas.results import Result

S = TypeVar("S", bound=Schema)


class ServiceError(Exception):
    """A problem that the service answered with, by its stable `code`, or one of the client's own.

    The client's own codes: `unreachable` (no connection, or it broke), `timeout`, and `unexpected_answer` (what
    answered is no convscope service of this version); `status` is None for the first two.
    """

    def __init__(
        self, code: str, detail: str, *, status: int | None = None, errors: Sequence[ProblemError] = ()
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.errors = list(errors)


class Client:
    """A service at a URL. Every call raises ServiceError; close it, or use it in a `with`.

    A busy service (an answer with `Retry-After`) is asked again until `patience_seconds` are over.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 300,
        patience_seconds: float = 60,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._url = url
        self._patience_seconds = patience_seconds
        self._http = httpx2.Client(timeout=httpx2.Timeout(timeout_seconds, connect=10), transport=transport)

    def run(
        self, method: str, model: str, *, version: str | None = None, image: bytes | Path | None = None, **params: Any
    ) -> Result:
        """Compute a result. Parameters are the API's own; one that is None stays at the service's default."""
        data = image.read_bytes() if isinstance(image, Path) else image
        # Every field a part of a form, which takes the picture as it is: base64 in JSON would be a third larger.
        parts: dict[str, Any] = {name: (None, _text(value)) for name, value in params.items() if value is not None}
        if data is not None:
            parts["image"] = ("image", data)
        return self._call(Result, "POST", f"{_route(model, version)}/{method}", files=parts)

    def models(self) -> ModelList:
        """Every model with its state."""
        return self._call(ModelList, "GET", "/v1/models")

    def model(self, name: str, version: str | None = None) -> ModelDetail:
        """What is known of one model; loads it if need be."""
        return self._call(ModelDetail, "GET", _route(name, version))

    def layers(self, model: str, version: str | None = None) -> LayerList:
        """The layers of a model."""
        return self._call(LayerList, "GET", f"{_route(model, version)}/layers")

    def methods(self) -> MethodList:
        """The methods of the service, with their parameters as JSON Schema."""
        return self._call(MethodList, "GET", "/v1/methods")

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, answer: type[S], method: str, route: str, **content: Any) -> S:
        response = self._send(method, route, **content)
        if not response.is_success:
            raise _problem(response)
        try:
            # A newer service may tell more than this client knows of.
            return answer.model_validate_json(response.content, extra="ignore")
        except ValidationError as error:
            raise _unexpected(response) from error

    def _send(self, method: str, route: str, **content: Any) -> httpx2.Response:
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                response = self._http.request(method, self._url.rstrip("/") + route, **content)
            except httpx2.TimeoutException as error:
                raise ServiceError("timeout", f"no answer from {self._url} in time") from error
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise ServiceError("unreachable", f"no service at {self._url}: {error}") from error
            pause = _retry_after_seconds(response)
            if pause is None or time.monotonic() + pause > deadline:
                return response
            time.sleep(pause)


def _route(model: str, version: str | None) -> str:
    route = f"/v1/models/{_segment(model)}"
    return route if version is None else f"{route}/versions/{_segment(version)}"


def _segment(text: str) -> str:
    # `.` and `..` would lead out of the route, quoted or not.
    if text in ("", ".", ".."):
        raise ServiceError("model_not_found", f"'{text}' is no name of a model or version")
    return quote(text, safe="")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(_text(item) for item in value)
    return str(value)


def _retry_after_seconds(response: httpx2.Response) -> int | None:
    given = response.headers.get("retry-after", "")
    return int(given) if response.status_code in (429, 503) and given.isdecimal() else None


def _problem(response: httpx2.Response) -> ServiceError:
    try:
        problem = Problem.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        return _unexpected(response)
    return ServiceError(problem.code, problem.detail, status=problem.status, errors=problem.errors or ())


def _unexpected(response: httpx2.Response) -> ServiceError:
    detail = f"the answer of {response.url} (status {response.status_code}) is not one of a convscope service"
    return ServiceError("unexpected_answer", detail, status=response.status_code)
