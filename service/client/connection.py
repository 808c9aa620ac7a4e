"""HTTP to a service: what it answers as schemas, what goes wrong as ServiceError."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TypedDict, TypeVar, Unpack

import httpx2
from pydantic import ValidationError

from schemas.base import Schema
from schemas.problems import Problem, ProblemError

S = TypeVar("S", bound=Schema)
# Of a form: a file's name, None for a plain field, and what is in it.
FormPart = tuple[str | None, str | bytes | IO[bytes]]


class Content(TypedDict, total=False):
    """What goes with a request."""

    files: dict[str, FormPart]
    headers: dict[str, str]


class ServiceError(Exception):
    """A problem that the service answered with, by its stable `code`, or one of the client's own.

    The client's own codes: `unreachable` (no connection, or it broke), `timeout`, `job_cancelled`, and
    `unexpected_answer` (what answered is no convscope service of this version); `status` is None but for the last.
    """

    def __init__(
        self, code: str, detail: str, *, status: int | None = None, errors: Sequence[ProblemError] = ()
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.errors = list(errors)


class Connection:
    """A service at a URL. A busy one is asked again until `patience_seconds` are over."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_seconds: float,
        patience_seconds: float,
        transport: httpx2.BaseTransport | None,
    ) -> None:
        self._url = url.rstrip("/")
        self.patience_seconds = patience_seconds
        self._http = httpx2.Client(
            timeout=httpx2.Timeout(timeout_seconds, connect=10),
            transport=transport,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            # To another place the key must not go.
            follow_redirects=False,
        )

    def close(self) -> None:
        self._http.close()

    def call(self, answer: type[S], method: str, route: str, **content: Unpack[Content]) -> S:
        """The answer of a route."""
        return read(answer, self.send(method, route, **content))

    def send(self, method: str, route: str, **content: Unpack[Content]) -> httpx2.Response:
        """A successful response; a problem is raised."""
        deadline = time.monotonic() + self.patience_seconds
        while True:
            for part in content.get("files", {}).values():
                # Read to its end by the attempt before.
                if hasattr(part[1], "seek"):
                    part[1].seek(0)
            with self._explained():
                response = self._http.request(method, self._url + route, **content)
            pause = _retry_after_seconds(response)
            if pause is None or time.monotonic() + pause > deadline:
                break
            time.sleep(pause)
        if not response.is_success:
            raise _problem(response)
        return response

    def route_of(self, link: str) -> str:
        """Of a link that the service wrote: it is followed at this client's URL alone, below whatever path that has."""
        place = link.rfind("/v1/")
        if place < 0:
            raise ServiceError("unexpected_answer", f"'{link}' is no link of a convscope service")
        return link[place:]

    @contextmanager
    def stream(self, route: str, headers: dict[str, str], *, silence_seconds: float) -> Iterator[httpx2.Response]:
        """A successful response, to be read while it grows. Silence for longer than that is a `timeout`."""
        timeout = httpx2.Timeout(silence_seconds, connect=10)
        with (
            self._explained(),
            self._http.stream("GET", self._url + route, headers=headers, timeout=timeout) as response,
        ):
            if not response.is_success:
                response.read()
                raise _problem(response)
            yield response

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TimeoutException as error:
            raise ServiceError("timeout", f"no answer from {self._url} in time") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ServiceError("unreachable", f"no service at {self._url}: {error}") from error


def read(answer: type[S], response: httpx2.Response) -> S:
    """A response's content as a schema."""
    try:
        # A newer service may tell more than this client knows of.
        return answer.model_validate_json(response.content, extra="ignore")
    except ValidationError as error:
        raise _unexpected(response) from error


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
