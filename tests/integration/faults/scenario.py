"""What the fault tests share: jobs, and what is seen of them over HTTP, in the record and in the workers' logs."""

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any

import httpx2

from service.jobs.store.port import JobStore, Snapshot
from tests.integration.faults.pace import steps_a_second

# Guards against hanging; what is waited for comes within seconds, or tens of them on a busy machine.
PATIENCE_SECONDS = 120.0
ROUTE = "/v1/models/shapes/filter-patterns"
# In one chunk and one that combines. Without a seed of its own it is no job of its own.
SLOW: dict[str, Any] = {"layer": "conv3", "filters": "0-3", "size": 96}
QUICK = {"layer": "conv1", "filters": "0-3", "size": 32, "steps": 4}
# Equal requests are one job; no two tests may meet.
_SEEDS = count(1)
_STARTED = re.compile(r"started job (\w+) chunk (\d+) attempt (\d+) fence (\d+)")
_ENDED = re.compile(r"(?:finished|gave up) job (\w+) chunk (\d+) attempt (\d+) fence (\d+): (\w+)")


def slow(seconds: float = 3.0, **changes: Any) -> dict[str, Any]:
    """The body of a request for a job that runs for so long where nothing else does; with more filters for longer."""
    steps = max(1, round(seconds * steps_a_second(**SLOW)))
    return SLOW | {"steps": steps, "seed": next(_SEEDS)} | changes


def quick(**changes: Any) -> dict[str, Any]:
    """The body of a request for a job that is done at once."""
    return QUICK | {"seed": next(_SEEDS)} | changes


def wait_until(happened: Callable[[], object], what: str) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.05)


@dataclass(frozen=True, order=True)
class Attempt:
    """One start of a chunk, as a worker has logged it."""

    chunk: int
    number: int
    fence: int


@dataclass
class Witness:
    """Sees jobs from outside. `store` reads the record, past any proxy; `logs` are those of all who ever worked."""

    client: httpx2.Client
    store: JobStore
    logs: Callable[[], str]
    jobs: list[str] = field(default_factory=list)

    def submit(self, body: dict[str, Any], **headers: str) -> str:
        """Send a request that must be accepted at once; the job's id."""
        response = self.client.post(ROUTE, json=body, headers=headers)
        assert response.status_code in (200, 202), response.text
        self.jobs.append(response.json()["id"])
        return self.jobs[-1]

    def submit_patiently(self, body: dict[str, Any], key: str) -> str:
        """Send with an Idempotency-Key until it is accepted, as a client does that wants one job."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                response = self.client.post(ROUTE, json=body, headers={"Idempotency-Key": key})
            except httpx2.TransportError as error:
                answer = repr(error)
            else:
                if response.status_code in (200, 202):
                    self.jobs.append(response.json()["id"])
                    return self.jobs[-1]
                assert response.status_code in (409, 503), response.text
                answer = response.text
            assert time.monotonic() < end, f"never accepted: {answer}"
            time.sleep(0.1)

    def look(self, job: str) -> dict[str, Any]:
        """The job over HTTP; asked again while the service or its store is away."""
        return self._get(f"/v1/jobs/{job}").json()

    def wait(self, job: str, until: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The job once it is so. Fails where it has ended otherwise."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not until(seen := self.look(job)):
            assert seen["state"] in ("queued", "running"), seen
            assert time.monotonic() < end, f"waited in vain: {seen}\n{self.logs()[-5000:]}"
            time.sleep(0.05)
        return seen

    def wait_for_state(self, job: str, *states: str) -> dict[str, Any]:
        return self.wait(job, lambda seen: seen["state"] in states)

    def wait_for_fraction(self, job: str, fraction: float) -> dict[str, Any]:
        """Until a share of the work is seen to be done."""
        return self.wait(job, lambda seen: seen["progress"]["fraction"] >= fraction)

    def wait_for_start(self, job: str, attempts: int = 1) -> Attempt:
        """Until a chunk has been started so often; the latest start."""
        wait_until(lambda: len(self.attempts(job)) >= attempts, f"job {job} is started {attempts} times")
        return self.attempts(job)[attempts - 1]

    def attempts(self, job: str) -> list[Attempt]:
        """Every start of the job's chunks, in the order of their fences."""
        found = (Attempt(int(c), int(a), int(f)) for name, c, a, f in _STARTED.findall(self.logs()) if name == job)
        return sorted(found, key=lambda attempt: attempt.fence)

    def outcome(self, job: str, attempt: Attempt) -> str:
        """How an attempt ended, by the log: `committed`, `fenced`, `release`, …; empty where its process died."""
        for name, *numbers, outcome in _ENDED.findall(self.logs()):
            if name == job and Attempt(*map(int, numbers)) == attempt:
                return str(outcome)
        return ""

    def assert_succeeded(self, job: str) -> list[Attempt]:
        """Wait for the end, then count effects and hash pictures. Returns the starts that it took."""
        seen = self.wait_for_state(job, "succeeded")
        assert seen["error"] is None
        snapshot = self.store.get(job)
        self._assert_one_effect(snapshot)
        filters = [f"filter-{number}" for chunk in snapshot.record.chunks for number in chunk]
        images = seen["result"]["images"]
        assert [image["name"] for image in images] == ["grid", *filters]
        for image in images:
            assert sha256(self._get(image["href"]).content).hexdigest() == image["sha256"], image
        return self.attempts(job)

    def cancel(self, job: str) -> None:
        """Have done with a job, whatever its state."""
        end = time.monotonic() + PATIENCE_SECONDS
        while self.client.post(f"/v1/jobs/{job}/cancel").status_code == 503:
            assert time.monotonic() < end, "the store does not come back"
            time.sleep(0.1)

    def _assert_one_effect(self, snapshot: Snapshot) -> None:
        """One part for each chunk, of one attempt; no log says that two have committed."""
        job = snapshot.record.id
        attempts = self.attempts(job)
        for number, chunk in enumerate(snapshot.chunks):
            assert chunk.state == "succeeded"
            fences = {int(image.file.split("/")[-2].removeprefix(f"{number}-")) for image in chunk.images}
            assert len(fences) == 1
            started = {attempt.fence for attempt in attempts if attempt.chunk == number}
            assert fences <= started, "a part of an attempt that nobody has begun"
        committed = Counter(a.chunk for a in attempts if self.outcome(job, a) == "committed")
        assert set(committed.values()) <= {1}, f"two attempts at one chunk have committed: {committed}"

    def _get(self, route: str) -> httpx2.Response:
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                response = self.client.get(route)
            except httpx2.TransportError as error:
                answer = repr(error)
            else:
                if response.status_code == 200:
                    return response
                assert response.status_code == 503, response.text
                answer = response.text
            assert time.monotonic() < end, f"no answer: {answer}"
            time.sleep(0.1)
