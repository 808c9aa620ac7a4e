"""Asks a running service. Jobs are sent first and fetched when all else has been asked."""

import base64
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx2

from tests.tour.inputs import Inputs
from tests.tour.questions import Question
from tests.tour.reading import Record, record

# A guard against hanging: all jobs of the tour may lie before one.
JOB_SECONDS = 1800.0
_PAUSE_SECONDS = 0.03

# The question's name and the job's route.
Accepted = tuple[str, str]


@dataclass(frozen=True)
class Http:
    """A client of the service. `fresh` asks it to compute what it has computed before."""

    client: httpx2.Client
    fresh: bool = False

    def look(self, route: str, method: str = "GET") -> tuple[Any, Record]:
        """A route that lists, describes or loads."""
        response = self.client.request(method, route)
        return response.json(), record(response.status_code, response.json(), {})

    def ask(self, questions: Iterable[Question], inputs: Inputs, jobs: list[Accepted]) -> Iterator[tuple[str, Record]]:
        """What is answered at once, as JSON, and as a PNG where it has pictures; `jobs` takes what becomes one."""
        for question in questions:
            response = self._post(question, inputs, "application/json")
            if response.status_code == 202:
                jobs.append((question.name, response.headers["location"]))
                continue
            answer = response.json()
            pictures = {image["name"]: base64.b64decode(image["data"]) for image in answer.get("images", ())}
            yield question.name, record(response.status_code, answer, pictures)
            if pictures:
                drawn = self._post(question, inputs, "image/png")
                yield f"{question.name} (PNG)", record(drawn.status_code, None, {"picture": drawn.content})

    def fetch(self, jobs: Iterable[Accepted]) -> Iterator[tuple[str, Record]]:
        for name, route in jobs:
            yield name, self._fetch(route)

    def forget(self, question: Question, inputs: Inputs) -> Iterator[tuple[str, Record]]:
        """What becomes of a job, one of its own, when it is over."""
        route = replace(self, fresh=True)._post(question, inputs, "application/json").headers["location"]
        self._fetch(route)
        for name, response in (
            ("cancelled when done", self.client.post(f"{route}/cancel")),
            ("removed", self.client.delete(route)),
            ("fetched when removed", self.client.get(route)),
        ):
            body = response.json() if response.content else None
            yield f"{question.name}/{name}", record(response.status_code, body, {})

    def _post(self, question: Question, inputs: Inputs, media_type: str) -> httpx2.Response:
        version = f"/versions/{question.version}" if question.version else ""
        headers = {"Accept": media_type} | ({"Prefer": "respond-async"} if question.prefers_job else {})
        if self.fresh:
            headers["Cache-Control"] = "no-cache"
        route = f"/v1/models/{question.model}{version}/{question.method}"
        named = {"dataset": question.model} if question.sends == "name" else {}
        if question.sends in ("nothing", "name"):
            return self.client.post(route, json=question.params | named, headers=headers)
        form: dict[str, Any] = {name: (None, to_text(value)) for name, value in question.params.items()}
        path = inputs.image if question.sends == "image" else inputs.images
        return self.client.post(route, files=form | {question.sends: (path.name, path.read_bytes())}, headers=headers)

    def _fetch(self, route: str) -> Record:
        """A job at its end: its result, with what the job says beside it."""
        end = time.monotonic() + JOB_SECONDS
        while (job := self.client.get(route).json())["state"] in ("queued", "running"):
            if time.monotonic() > end:
                raise TimeoutError(f"{route} has not ended after {JOB_SECONDS:g} s")
            time.sleep(_PAUSE_SECONDS)
        result = job.pop("result") or {}
        pictures = {image["name"]: self.client.get(image["href"]).content for image in result.get("images", ())}
        return record(200, result | {"job": job}, pictures)


def to_text(value: object) -> str:
    """A parameter as forms and the terminal have it."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
