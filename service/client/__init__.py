"""The Python client of a convscope service. Knows the schemas and HTTP, nothing of the service's inside.

with Client("http://127.0.0.1:8000") as client:
    result = client.run("grad-cam", "shapes", image=Path("star.png"), class_index=3)
    Path("overlay.png").write_bytes(result.images[0].data)
    print(result.values_as(HeatmapValues).max)
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote
from uuid import uuid4

import httpx2

from schemas.datasets import DatasetList
from schemas.jobs import Job, JobImage, JobList, JobResult, JobSummary, Progress
from schemas.methods import MethodList
from schemas.models import LayerList, ModelDetail, ModelList
from schemas.results import Answer, Result, ResultImage
from service.client.connection import Connection, FormPart, ServiceError, read
from service.client.key import find_key
from service.client.watching import JobEvent, watch

__all__ = ["Client", "JobEvent", "ServiceError"]

# How long a job is waited for in the first request: most are short.
_WAIT_SECONDS = 5


class Client:
    """A service at a URL. Every call raises ServiceError; close it, or use it in a `with`.

    A busy service (an answer with `Retry-After`) is asked again until `patience_seconds` are over. `key` is sent with
    every request; by default that of the environment variable `CONVSCOPE_KEY`, where there is one.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_seconds: float = 300,
        patience_seconds: float = 60,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._connection = Connection(
            url, find_key(key), timeout_seconds=timeout_seconds, patience_seconds=patience_seconds, transport=transport
        )

    def run(  # noqa: PLR0913 - the API's own fields
        self,
        method: str,
        model: str,
        *,
        version: str | None = None,
        image: bytes | Path | None = None,
        images: bytes | Path | IO[bytes] | None = None,
        report: Callable[[float], None] | None = None,
        **params: object,
    ) -> Result:
        """Compute a result. Parameters are the API's own; one that is None stays at the service's default.

        `images` is a ZIP of pictures, to be gone through in one job; `dataset` names one that the service has.
        A method that takes a job is waited for, and `report` called with the share done, 0…1.
        """
        # Somebody who looks at the progress is not to wait for the first of it.
        headers = {"Prefer": f"wait={_WAIT_SECONDS}"} if report is None else {}
        response = self._post(method, _route(model, version), headers, {"image": image, "images": images}, params)
        if "location" not in response.headers:
            return read(Result, response)
        if response.status_code == httpx2.codes.OK and "state" not in response.json():
            return self._download(read(JobResult, response))
        return self._download(self._result(read(Job, response).id, report))

    def submit(  # noqa: PLR0913
        self,
        method: str,
        model: str,
        *,
        version: str | None = None,
        image: bytes | Path | None = None,
        images: bytes | Path | IO[bytes] | None = None,
        fresh: bool = False,
        **params: object,
    ) -> Job:
        """Have it computed as a job; the one of an earlier equal request, unless `fresh`."""
        headers = {"Prefer": "respond-async"} | ({"Cache-Control": "no-cache"} if fresh else {})
        pictures = {"image": image, "images": images}
        return read(Job, self._post(method, _route(model, version), headers, pictures, params))

    def job(self, job: str) -> Job:
        """A job as it stands."""
        return self._connection.call(Job, "GET", _job_route(job))

    def jobs(self) -> Iterator[JobSummary]:
        """All jobs, newest first."""
        link: str | None = "/v1/jobs"
        while link is not None:
            page = self._connection.call(JobList, "GET", link)
            yield from page.jobs
            link = page.next and self._connection.route_of(page.next)

    def watch(self, job: str) -> Iterator[JobEvent]:
        """The job at first and at each change of state, its progress and its pictures as they come."""
        _job_route(job)
        return watch(self._connection, job)

    def wait(self, job: str) -> Job:
        """The job once it has ended, in whatever state."""
        for _ in self.watch(job):
            pass
        return self.job(job)

    def cancel(self, job: str) -> Job:
        """End the job."""
        return self._connection.call(Job, "POST", f"{_job_route(job)}/cancel")

    def delete(self, job: str) -> None:
        """Forget the job and its pictures; equal requests share one, which stays until it is deleted as often."""
        self._connection.send("DELETE", _job_route(job))

    def image(self, job: str, name: str) -> bytes:
        """One picture of a job."""
        return self._connection.send("GET", f"{_job_route(job)}/images/{_segment(name)}").content

    def models(self) -> ModelList:
        """Every model with its state."""
        return self._connection.call(ModelList, "GET", "/v1/models")

    def model(self, name: str, version: str | None = None) -> ModelDetail:
        """What is known of one model; little before it is loaded, which this does not do."""
        return self._connection.call(ModelDetail, "GET", _route(name, version))

    def load(self, name: str, version: str | None = None) -> ModelDetail:
        """Have a model loaded, and wait for it; at once where it is."""
        return self._connection.call(ModelDetail, "POST", f"{_route(name, version)}/load")

    def layers(self, model: str, version: str | None = None) -> LayerList:
        """The layers of a model. Raises ServiceError `model_not_loaded` where `load` has to come first."""
        return self._connection.call(LayerList, "GET", f"{_route(model, version)}/layers")

    def methods(self) -> MethodList:
        """The methods of the service, with their parameters as JSON Schema."""
        return self._connection.call(MethodList, "GET", "/v1/methods")

    def datasets(self) -> DatasetList:
        """The datasets that the service has by name, for `dataset`."""
        return self._connection.call(DatasetList, "GET", "/v1/datasets")

    def close(self) -> None:
        """Give the connections back."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _post(
        self,
        method: str,
        route: str,
        headers: dict[str, str],
        pictures: Mapping[str, bytes | Path | IO[bytes] | None],
        params: Mapping[str, object],
    ) -> httpx2.Response:
        # Every field a part of a form, which takes the picture as it is: base64 in JSON would be a third larger.
        parts: dict[str, FormPart] = {name: (None, _text(value)) for name, value in params.items() if value is not None}
        # The same key however often a busy service is asked: one job.
        headers = headers | {"Idempotency-Key": uuid4().hex}
        with ExitStack() as files:
            for name, given in pictures.items():
                if given is not None:
                    parts[name] = (name, files.enter_context(given.open("rb")) if isinstance(given, Path) else given)
            return self._connection.send("POST", f"{route}/{method}", files=parts, headers=headers)

    def _result(self, job: str, report: Callable[[float], None] | None) -> JobResult:
        for event in self.watch(job):
            progress = event.progress if isinstance(event, JobSummary) else event
            if report is not None and isinstance(progress, Progress):
                report(progress.fraction)
        ended = self.job(job)
        if ended.result is not None:
            return ended.result
        if ended.error is not None:
            raise ServiceError(ended.error.code, ended.error.detail)
        raise ServiceError("job_cancelled", f"job '{job}' was cancelled")

    def _download(self, result: JobResult) -> Result:
        images = [self._fetch(image) for image in result.images]
        return Result(**{name: getattr(result, name) for name in Answer.model_fields}, images=images)

    def _fetch(self, image: JobImage) -> ResultImage:
        data = self._connection.send("GET", self._connection.route_of(image.href)).content
        return ResultImage(**image.model_dump(exclude={"href", "sha256"}), data=data)


def _route(model: str, version: str | None) -> str:
    route = f"/v1/models/{_segment(model)}"
    return route if version is None else f"{route}/versions/{_segment(version)}"


def _segment(text: str) -> str:
    # `.` and `..` would lead out of the route, quoted or not.
    if text in ("", ".", ".."):
        raise ServiceError("not_found", f"'{text}' is no name")
    return quote(text, safe="")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(_text(item) for item in value)
    return str(value)


def _job_route(job: str) -> str:
    return f"/v1/jobs/{_segment(job)}"
