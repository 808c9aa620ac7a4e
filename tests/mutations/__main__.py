"""`python -m tests.mutations [--count 5000] [--seed 1]`: a real service answers mutated requests.

Each is answered within a bound, with no 5xx but 503 and 507, and the service's memory does not grow. Exits with 1
where one of these is not so; what was asked is written beside.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx2

from tests.mutations.bodies import Mutant, make_mutants
from tests.server import Server

ROUTE: Final = "/v1/models/shapes"
BOUND_SECONDS: Final = 20.0
# Allocators keep some of what was freed.
GROWTH_BYTES: Final = 64 * 2**20
_CLIENTS: Final = 4


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.mutations")
    arguments.add_argument("--count", type=int, default=5000)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"CONVSCOPE_LIMITS__RESULT_CACHE_BYTES": "0", "CONVSCOPE_LIMITS__ACTIVATION_CACHE_BYTES": "0"}
        with Server(Path(folder) / "log.txt", **settings) as server:
            server.wait_until_ready()
            is_good = _attack(server, given.count, given.seed)
    sys.exit(not is_good)


def _attack(server: Server, count: int, seed: int) -> bool:
    statuses: dict[str, Counter[int]] = {}
    seconds: dict[str, list[float]] = {}
    memory: list[int] = []
    bad = 0
    with httpx2.Client(base_url=server.url, timeout=BOUND_SECONDS) as client, ThreadPoolExecutor(_CLIENTS) as threads:

        def ask(mutant: Mutant) -> tuple[Mutant, int, float]:
            started = time.perf_counter()
            status = send(client, mutant)
            return mutant, status, time.perf_counter() - started

        for number, (mutant, status, taken) in enumerate(threads.map(ask, make_mutants(count, seed))):
            statuses.setdefault(mutant.kind, Counter())[status] += 1
            seconds.setdefault(mutant.kind, []).append(taken)
            memory.append(_resident(server))
            if not is_allowed(status):
                bad += 1
                _keep(mutant, number, status)
        alive = client.get("/livez").is_success
    third = max(1, count // 3)
    first, last = median(memory[third // 2 : third]), median(memory[-third // 2 :])
    for kind, found in statuses.items():
        took = f"median {median(seconds[kind]):.3f} s, slowest {max(seconds[kind]):.2f} s"
        _say(f"{kind:10} {dict(sorted(found.items()))}, {took}")
    _say(f"memory {first / 2**20:.0f} MB in the first third, {last / 2**20:.0f} MB in the last")
    _say(f"{bad} bad answers; the service {'lives' if alive else 'has gone'}")
    return alive and not bad and last - first < GROWTH_BYTES


def send(client: Any, mutant: Mutant) -> int:
    """The status; 0 where there is no answer. A job that was made is deleted again."""
    try:
        answer = client.post(
            f"{ROUTE}/{mutant.route}", content=mutant.body, headers={"Content-Type": mutant.content_type}
        )
        if answer.status_code == 202:
            client.delete(answer.json()["links"]["self"])
    except httpx2.TransportError:
        return 0
    return int(answer.status_code)


def is_allowed(status: int) -> bool:
    """True for an answer, a refusal, and for what may not be possible now."""
    return 200 <= status < 500 or status in (503, 507)


def _resident(server: Server) -> int:
    text = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


def _keep(mutant: Mutant, number: int, status: int) -> None:
    file = Path(tempfile.gettempdir()) / f"convscope-mutant-{number}.bin"
    file.write_bytes(mutant.body)
    _say(f"{status} for {mutant.kind} {number} ({mutant.content_type}): {file}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
