"""A whole service that a test may harm: two APIs and a worker over Redis, or one API that computes its jobs itself."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil

from service.composition.jobs import open_store
from service.settings import Settings
from tests.integration.faults.scenario import Attempt, Witness, wait_until
from tests.redis_server import RedisServer
from tests.server import Server
from tests.worker import WorkerProcess

# As many steps as a fast machine takes in some seconds.
UNBOUND = {"CONVSCOPE_LIMITS__JOB_STEPS": "100000"}
SHORT = {
    "CONVSCOPE_JOBS__LEASE_SECONDS": "2",
    "CONVSCOPE_JOBS__SWEEP_SECONDS": "1",
    "CONVSCOPE_JOBS__CANCEL_SECONDS": "1",
    "CONVSCOPE_WORKER__WARM": "true",
    "CONVSCOPE_WEBHOOKS_ALLOW": "127.0.0.1",
    **UNBOUND,
}
PROGRAM = "service.cli"


@dataclass
class Home:
    """The processes of one service. `redis` and `workers` are those of the Redis mode; the last worker is at work."""

    folder: Path
    servers: list[Server]
    witness: Witness
    environment: dict[str, str]
    program: str = PROGRAM
    redis: RedisServer | None = None
    workers: list[WorkerProcess] = field(default_factory=list)

    @property
    def client(self) -> httpx2.Client:
        return self.witness.client

    @property
    def worker(self) -> WorkerProcess:
        return self.workers[-1]

    @property
    def artifacts(self) -> Path:
        return self.folder / "data" / "artifacts"

    def start_worker(self) -> None:
        """One more worker, which may not be warm yet."""
        worker = WorkerProcess(self.folder / f"worker-{len(self.workers)}.log", **self.environment)
        worker.program = self.program
        worker.start()
        self.workers.append(worker)

    def child(self) -> int:
        """The process id of the one child that computes."""
        wait_until(lambda: len(self._children()) == 1, "there is one child")
        return self._children()[0]

    def holder(self, attempt: Attempt) -> int:
        """The process id of the child that makes this attempt."""
        return int(self.ask("HGET", f"convscope:hold:{attempt.fence}", "process").rpartition(":")[2])

    def ask(self, *words: str) -> str:
        """One plain Redis command; its reply, bulk or a number."""
        assert self.redis is not None
        return self.redis.command(*words).split("\r\n")[-2].removeprefix(":")

    def cancel(self, job: str) -> httpx2.Response:
        return self.client.post(f"/v1/jobs/{job}/cancel")

    def logs(self) -> str:
        """Of all who ever computed."""
        return "".join(source.log() for source in (self.workers or self.servers))

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()
        for server in self.servers:
            server.stop()

    def _children(self) -> list[int]:
        if self.workers:
            return self.worker.children()
        return self.servers[0].children()


@contextmanager
def open_redis_home(
    folder: Path, *arguments: str, services: int = 2, program: str = PROGRAM, **environment: str
) -> Iterator[Home]:
    """`arguments` are further ones of the Redis server, `program` is run in place of the real one."""
    with RedisServer(folder / "redis", *arguments) as redis, _furnish(folder, redis.url, environment) as home:
        home.redis, home.program = redis, program
        home.start_worker()
        _start_servers(home, services)
        home.worker.wait_until_ready()
        yield home


@contextmanager
def open_embedded_home(folder: Path, **environment: str) -> Iterator[Home]:
    with _furnish(folder, "", environment) as home:
        _start_servers(home, 1)
        wait_until(lambda: "the embedded worker is ready" in home.logs(), "the child is warm")
        yield home


@contextmanager
def _furnish(folder: Path, redis_url: str, environment: dict[str, str]) -> Iterator[Home]:
    data = folder / "data"
    models = folder / "models"
    models.mkdir(parents=True)
    places = {"CONVSCOPE_REDIS_URL": redis_url, "CONVSCOPE_DATA": str(data), "CONVSCOPE_MODELS": str(models)}
    with ExitStack() as stack:
        store = open_store(Settings(redis_url=redis_url, data=data))
        stack.callback(store.close)
        # The address is not known yet.
        client = stack.enter_context(httpx2.Client(timeout=30))
        home = Home(folder, [], Witness(client, store, str), SHORT | places | environment)
        home.witness.logs = home.logs
        stack.callback(home.stop)
        yield home


def _start_servers(home: Home, count: int) -> None:
    for number in range(count):
        server = Server(home.folder / f"server-{number}.log", **home.environment)
        server.program = home.program
        home.servers.append(server)
        server.start()
    home.client.base_url = home.servers[0].url
    home.servers[0].wait_until_ready()


def find_images(directory: Path) -> list[Path]:
    """Every picture of every job."""
    return sorted(directory.glob("results/*/*/*.png"))


def memory(pid: int) -> int:
    """Resident bytes."""
    facts: Any = psutil.Process(pid).memory_info()
    return int(facts.rss)
