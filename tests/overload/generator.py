"""`python -m tests.overload.generator PORT RATE SECONDS`: load from a process of its own.

Open loop: requests begin at their times, whatever has become of those before. Times count from when a request was
written; how late that was is told beside them, as is how long the generator's own loop stood still. Prints JSON.
"""

import argparse
import asyncio
import gc
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.overload.client import Connection, connect, encode_request, photographs

_PHOTOGRAPHS: Final = 64
_PATIENCE_SECONDS: Final = 60.0
_PROBE: Final = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
_PROBE_SECONDS: Final = 0.05


@dataclass
class Found:
    """Milliseconds of each answer by its status (0: none came), how late requests were, and `/livez` meanwhile."""

    taken: dict[int, list[float]] = field(default_factory=dict)
    late: list[float] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)
    begun_at: dict[int, list[float]] = field(default_factory=dict)

    def note(self, status: int, begun: float, since: float) -> None:
        self.taken.setdefault(status, []).append((time.perf_counter() - begun) * 1000)
        self.begun_at.setdefault(status, []).append(begun - since)


class Generator:
    """Requests to one port; kept connections are used again, the last one first, but where each is to be new."""

    def __init__(self, port: int, headers: Sequence[str], *, new: bool) -> None:
        self._port, self._new = port, new
        extra = [*headers, "Connection: close"] if new else headers
        self._requests = [encode_request(image, *extra) for image in photographs(_PHOTOGRAPHS)]
        self._kept: list[Connection] = []
        self._next = 0
        self.found = Found()

    async def open_loop(self, rate: float, seconds: float) -> None:
        """As independent clients come: the gaps between them are random."""
        draw = random.Random(1)
        since = due = time.perf_counter()
        under_way: set[asyncio.Task[None]] = set()
        while due < since + seconds:
            due += draw.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(self._ask(due, since))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way, timeout=_PATIENCE_SECONDS)

    async def closed_loop(self, clients: int, seconds: float) -> None:
        since = time.perf_counter()

        async def visit() -> None:
            while time.perf_counter() < since + seconds:
                await self._ask(time.perf_counter(), since)

        await asyncio.gather(*(visit() for _ in range(clients)))

    async def leave(self, clients: int) -> None:
        """All send a request at once, and are gone."""
        connections = [await connect(self._port) for _ in range(clients)]
        for connection, request in zip(connections, self._requests, strict=False):
            connection.send(request)
        await asyncio.sleep(0.005)
        for connection in connections:
            connection.close()

    async def probe(self) -> None:
        """`/livez`, again and again, on a connection of its own."""
        connection = await connect(self._port)
        while True:
            begun = time.perf_counter()
            status = await connection.send(_PROBE)
            self.found.probes.append((time.perf_counter() - begun) * 1000 if status == 200 else float("inf"))
            if not connection.open:
                connection = await connect(self._port)
            await asyncio.sleep(_PROBE_SECONDS)

    async def _ask(self, due: float, since: float) -> None:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        begun = time.perf_counter()
        self.found.late.append((begun - due) * 1000)
        status = 0
        try:
            connection = await self._connection()
            status = await asyncio.wait_for(connection.send(request), _PATIENCE_SECONDS)
        except (OSError, TimeoutError):
            pass
        else:
            if connection.open and not self._new:
                self._kept.append(connection)
            else:
                connection.close()
        self.found.note(status, begun, since)

    async def _connection(self) -> Connection:
        while self._kept:
            connection = self._kept.pop()
            if connection.open:
                return connection
        return await connect(self._port)


async def _run(options: argparse.Namespace) -> dict[str, object]:
    generator = Generator(options.port, options.header, new=options.new)
    probing = asyncio.create_task(generator.probe())
    if options.leaving:
        await generator.leave(options.leaving)
    elif options.closed:
        await generator.closed_loop(options.closed, options.seconds)
    else:
        await generator.open_loop(options.rate, options.seconds)
    probing.cancel()
    found = generator.found
    return {
        "taken": found.taken,
        "begun_at": found.begun_at,
        "late": found.late,
        "probes": found.probes,
        "counts": Counter({status: len(taken) for status, taken in found.taken.items()}),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("rate", type=float)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--closed", type=int, default=0)
    parser.add_argument("--leaving", type=int, default=0)
    parser.add_argument("--new", action="store_true")
    parser.add_argument("--header", action="append", default=[])
    gc.disable()
    sys.stdout.write(json.dumps(asyncio.run(_run(parser.parse_args()))))


if __name__ == "__main__":
    main()
