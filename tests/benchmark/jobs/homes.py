"""The two homes of jobs as real processes, and what a client does with them."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from tests.redis_server import RedisServer
from tests.server import Server
from tests.worker import WorkerProcess

FINAL = ("succeeded", "failed", "cancelled")
# Guards against hanging.
TIMEOUT_SECONDS = 180.0
PLAIN = {
    "CONVSCOPE_APPLICATIONS_WEIGHTS": "none",
    "CONVSCOPE_WORKER__WARM": "true",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


@dataclass(frozen=True)
class Params:
    """Of `filter-patterns`."""

    layer: str
    filters: str
    size: int
    steps: int


@dataclass(frozen=True)
class Event:
    """One of a job's stream, with the time of its arrival in seconds since 1970."""

    at: float
    name: str
    data: dict[str, Any]

    @property
    def state(self) -> str | None:
        return str(self.data["state"]) if self.name == "job" else None


@dataclass(frozen=True)
class Home:
    """A service whose worker is warm. Service, worker and we read the same clock."""

    name: str
    client: httpx2.Client

    def submit(self, model: str, params: Params) -> str:
        """The id of a new job, also where the same was computed before."""
        response = self.client.post(
            f"/v1/models/{model}/filter-patterns", json=asdict(params), headers={"Cache-Control": "no-cache"}
        )
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def get(self, job: str) -> dict[str, Any]:
        response = self.client.get(f"/v1/jobs/{job}")
        assert response.status_code == 200, response.text
        content: dict[str, Any] = response.json()
        return content

    def cancel(self, job: str) -> None:
        response = self.client.post(f"/v1/jobs/{job}/cancel")
        assert response.status_code == 202, response.text

    def watch(self, job: str) -> Iterator[Event]:
        with self.client.stream("GET", f"/v1/jobs/{job}/events") as response:
            name = ""
            for line in response.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield Event(time.time(), name, json.loads(value))

    def finish(self, job: str) -> dict[str, Any]:
        """Wait until it has succeeded."""
        assert [event.state for event in self.watch(job)][-1] == "succeeded", self.get(job)
        return self.get(job)


def moment(job: dict[str, Any], name: str) -> float:
    """Seconds since 1970 of `created_at` and the like."""
    return datetime.fromisoformat(job[name]).timestamp()


@contextmanager
def open_embedded(folder: Path) -> Iterator[Home]:
    log = folder / "embedded.log"
    with Server(log, CONVSCOPE_DATA=str(folder / "embedded"), **PLAIN) as server:
        end = time.monotonic() + TIMEOUT_SECONDS
        while "the embedded worker is ready" not in server.log():
            assert time.monotonic() < end, f"the embedded worker does not start:\n{server.log()}"
            time.sleep(0.1)
        with _open_client(server) as client:
            yield Home("embedded", client)


@contextmanager
def open_redis(folder: Path) -> Iterator[Home]:
    """With one worker of one process, which has all cores."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder / "redis-server"))
        environment = {"CONVSCOPE_REDIS_URL": redis.url, "CONVSCOPE_DATA": str(folder / "redis"), **PLAIN}
        stack.enter_context(WorkerProcess(folder / "worker.log", **environment))
        server = stack.enter_context(Server(folder / "redis.log", **environment))
        yield Home("Redis", stack.enter_context(_open_client(server)))


def _open_client(server: Server) -> httpx2.Client:
    server.wait_until_ready()
    return httpx2.Client(base_url=server.url, timeout=TIMEOUT_SECONDS)
