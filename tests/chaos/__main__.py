"""`make chaos`: a thousand jobs on three workers while children, workers and Redis are killed.

Every accepted job must end as succeeded, with one committed effect per chunk and pictures whose hashes are right. What
was begun (and perhaps lost) is counted from the workers' logs, apart from what the records hold.
"""

import argparse
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import httpx2

from tests.chaos.killer import Killer
from tests.redis_server import RedisServer
from tests.server import Server
from tests.worker import WorkerProcess

_STARTED = re.compile(r"started job (\w+) chunk (\d+)")
PATIENCE_SECONDS = 1800.0


@dataclass
class Tally:
    """What came of the jobs."""

    states: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    starts: int = 0
    chunks: int = 0
    seconds: float = 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=33, help="SIGKILLs of children and workers")
    parser.add_argument("--redis-kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        tally, killer = run(Path(folder), stack, options)
    print(
        f"{tally.states['succeeded']} of {options.jobs} jobs succeeded in {tally.seconds:.0f} s; "
        f"{tally.chunks} chunks, {tally.starts} starts; "
        f"killed: {killer.children} children, {killer.workers} workers, {killer.redis} times Redis"
    )
    for line in tally.wrong[:20]:
        print(line)
    enough = killer.children + killer.workers >= options.kills and killer.redis >= options.redis_kills
    print("as it must be" if enough and not tally.wrong else "NOT as it must be")
    return 0 if enough and not tally.wrong else 1


def run(folder: Path, stack: ExitStack, options: argparse.Namespace) -> tuple[Tally, Killer]:
    redis = stack.enter_context(RedisServer(folder / "redis"))
    environment = {
        "CONVSCOPE_REDIS_URL": redis.url,
        "CONVSCOPE_DATA": str(folder / "data"),
        "CONVSCOPE_JOBS__LEASE_SECONDS": "4",
        "CONVSCOPE_JOBS__SWEEP_SECONDS": "1",
        # No job may end because chance killed it five times.
        "CONVSCOPE_JOBS__MAX_ATTEMPTS": "20",
    }
    workers = [WorkerProcess(folder / f"worker-{number}.log", **environment) for number in range(3)]
    for worker in workers:
        worker.start()
        stack.callback(worker.stop)
    server = stack.enter_context(Server(folder / "server.log", **environment))
    for worker in workers:
        worker.wait_until_ready()
    started = time.monotonic()
    with httpx2.Client(base_url=server.url, timeout=30) as client, ThreadPoolExecutor(2) as pool:
        killer = Killer(redis, workers, random.Random(options.seed))
        sending = pool.submit(lambda: [send(client, number) for number in range(options.jobs)])
        killing = pool.submit(killer.kill, options.kills, options.redis_kills)
        jobs = sending.result()
        tally = Tally()
        for job in jobs:
            check(client, job, started + PATIENCE_SECONDS, tally)
        killer.over.set()
        killing.result()
    tally.seconds = time.monotonic() - started
    starts = list(read_starts(worker.log() for worker in workers))
    tally.starts = len(starts)
    tally.wrong += [f"job {job}: never begun, says the log" for job in set(jobs) - {job for job, _ in starts}]
    if len(set(jobs)) != options.jobs:
        tally.wrong.append(f"{len(set(jobs))} jobs for {options.jobs} requests")
    return tally, killer


def send(client: httpx2.Client, number: int) -> str:
    """Send until it is accepted; the key makes one job of all attempts."""
    body = {"layer": "conv1", "filters": "0-3", "size": 32, "steps": 4, "seed": number}
    while True:
        try:
            response = client.post(
                "/v1/models/shapes/filter-patterns", json=body, headers={"Idempotency-Key": f"chaos-{number}"}
            )
        except httpx2.TransportError:
            time.sleep(0.2)
            continue
        if response.status_code in (200, 202):
            return str(response.json()["id"])
        assert response.status_code in (409, 503), response.text
        time.sleep(0.2)


def check(client: httpx2.Client, job: str, end: float, tally: Tally) -> None:
    """Wait for one job, then count its effects and hash its pictures."""
    answer = ask(client, f"/v1/jobs/{job}").json()
    while answer["state"] in ("queued", "running") and time.monotonic() < end:
        time.sleep(0.2)
        answer = ask(client, f"/v1/jobs/{job}").json()
    tally.states[answer["state"]] += 1
    if answer["state"] != "succeeded":
        tally.wrong.append(f"job {job}: {answer['state']} {answer['error']}")
        return
    tally.chunks += 2
    images = answer["result"]["images"]
    if [image["name"] for image in images] != ["grid", *(f"filter-{index}" for index in range(4))]:
        tally.wrong.append(f"job {job}: pictures {[image['name'] for image in images]}")
    for image in images:
        if sha256(ask(client, image["href"]).content).hexdigest() != image["sha256"]:
            tally.wrong.append(f"job {job}: {image['name']} is not what the record says")


def ask(client: httpx2.Client, route: str) -> httpx2.Response:
    while True:
        try:
            response = client.get(route)
        except httpx2.TransportError:
            response = None
        if response is not None and response.status_code == 200:
            return response
        time.sleep(0.2)


def read_starts(logs: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Job and chunk of every start that a worker has logged."""
    for log in logs:
        yield from _STARTED.findall(log)


if __name__ == "__main__":
    sys.exit(main())
