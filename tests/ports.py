"""Free ports of this machine, for servers that tests start. No two processes of one test run are given the same one."""

import os
import random
import socket
from collections.abc import Iterator

# Below those that systems hand out to whoever connects: a server that is started again must find its port free.
FIRST, LAST = 15_000, 32_000
# More than there are processes.
STEP = 64


def free_port() -> int:
    for port in _PORTS:
        with socket.socket() as probe:
            # As servers do: connections that have ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("every port was given away")


def _own_ports() -> Iterator[int]:
    """Those of this process, each once, from a random one on: another run may go on beside."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(FIRST + number % STEP, LAST, STEP)
    begin = random.randrange(len(ports))
    yield from ports[begin:]
    yield from ports[:begin]


_PORTS = _own_ports()
