"""One service over Redis for all fault tests: an API and a worker of two processes, each behind a proxy of its own."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from service.composition.jobs import open_store
from service.settings import Settings
from tests.certificates import Authority, make_authority
from tests.contract.conftest import png
from tests.integration.faults.home import UNBOUND, Home, open_embedded_home, open_redis_home
from tests.integration.faults.scenario import Attempt, Witness, wait_until
from tests.redis_server import RedisServer
from tests.server import Server
from tests.tcp_proxy import TcpProxy
from tests.worker import WorkerProcess

SHORT = {
    "CONVSCOPE_JOBS__LEASE_SECONDS": "2",
    "CONVSCOPE_JOBS__SWEEP_SECONDS": "1",
    "CONVSCOPE_JOBS__MAX_ATTEMPTS": "3",
    "CONVSCOPE_WORKER__CONCURRENCY": "2",
    **UNBOUND,
}


@dataclass
class Site:
    """The processes, and what can be done to them. `heal` undoes what a test has done."""

    folder: Path
    redis: RedisServer
    server: Server
    api_proxy: TcpProxy
    worker_proxy: TcpProxy
    witness: Witness
    start_worker: Callable[[], WorkerProcess]
    worker: WorkerProcess
    extra: list[WorkerProcess] = field(default_factory=list)

    def pictures(self, job: str, attempt: Attempt) -> Path:
        """The folder in which an attempt leaves its pictures."""
        return self.folder / "data" / "artifacts" / "results" / job / f"{attempt.chunk}-{attempt.fence}"

    def ask(self, *words: str) -> str:
        """One plain Redis command, past the proxies; its bulk reply, empty where there is none."""
        reply = self.redis.command(*words)
        return "" if reply.startswith("$-1") else reply.split("\r\n")[-2]

    def holder(self, attempt: Attempt) -> int:
        """The process id of the child that makes this attempt."""
        return int(self.ask("HGET", f"convscope:hold:{attempt.fence}", "process").rpartition(":")[2])

    def kill(self, attempt: Attempt) -> None:
        """SIGKILL the child that makes this attempt."""
        os.kill(self.holder(attempt), signal.SIGKILL)

    def add_worker(self) -> WorkerProcess:
        """One more worker, warm, until the test is over; it takes the place of the first one if that has ended."""
        self.extra.append(self.start_worker())
        self.extra[-1].wait_until_ready(2)
        return self.extra[-1]

    def heal(self) -> None:
        """Redis runs, proxies behave, nothing is computed, and one worker has both its children."""
        if not self.redis.is_running():
            self.redis.start()
        for proxy in (self.api_proxy, self.worker_proxy):
            proxy.lose_replies(b"", 0)
            proxy.mend()
        for job in self.witness.jobs:
            self.witness.cancel(job)
        self.witness.jobs.clear()
        if not self.worker.is_running():
            self.worker = self.extra.pop() if self.extra else self.start_worker()
            self.worker.wait_until_ready(2)
        for worker in self.extra:
            worker.stop()
        self.extra.clear()
        wait_until(lambda: len(self.worker.children()) == 2, "the worker has two children")


@pytest.fixture(scope="package")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Everything, started once: importing TensorFlow takes seconds."""
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder / "redis"))
        api_proxy, worker_proxy = (stack.enter_context(TcpProxy(redis.port)) for _ in range(2))
        environment = SHORT | {"CONVSCOPE_DATA": str(folder / "data")}

        def start_worker() -> WorkerProcess:
            log = folder / f"worker-{len(list(folder.glob('worker-*')))}.log"
            worker = WorkerProcess(log, **environment, CONVSCOPE_REDIS_URL=_url(worker_proxy.port))
            worker.start()
            stack.callback(worker.stop)
            return worker

        worker = start_worker()
        server = Server(folder / "server.log", **environment, CONVSCOPE_REDIS_URL=_url(api_proxy.port))
        stack.enter_context(server)
        worker.wait_until_ready(2)
        client = stack.enter_context(httpx2.Client(base_url=server.url, timeout=30))
        store = open_store(Settings(redis_url=redis.url, data=folder / "data"))
        stack.callback(store.close)

        def logs() -> str:
            return "".join(file.read_text(errors="replace") for file in sorted(folder.glob("worker-*.log")))

        witness = Witness(client, store, logs)
        yield Site(folder, redis, server, api_proxy, worker_proxy, witness, start_worker, worker)


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    """The one service, as good as new before each test."""
    shared_site.heal()
    yield shared_site
    shared_site.heal()


@pytest.fixture
def witness(site: Site) -> Witness:
    return site.witness


def is_alive(pid: int) -> bool:
    """Whether a process still runs; one that has ended and is waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="session")
def photo() -> bytes:
    """Some PNG."""
    return png(Image.effect_noise((96, 96), 60))


@pytest.fixture(scope="package")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the homes trust, beside nobody."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="package")
def redis_home(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Home]:
    """Two APIs and a worker of one process; whoever harms them mends them."""
    with open_redis_home(tmp_path_factory.mktemp("redis-home"), SSL_CERT_FILE=str(authority.file)) as home:
        yield home


@pytest.fixture(scope="package")
def embedded_home(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Home]:
    """One API that computes its jobs itself; whoever harms it mends it."""
    with open_embedded_home(tmp_path_factory.mktemp("embedded-home"), SSL_CERT_FILE=str(authority.file)) as home:
        yield home
