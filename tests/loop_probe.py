"""Measures whether a server's event loop stands still: asks `/livez` again and again while something else goes on.

A process of its own, of the standard library alone, so that neither the test's threads nor its imports delay it. How
late it wakes from its own naps tells what else the machine does, and is allowed for.

    with LoopProbe(server.port) as probe:
        attack()
    probe.require_quick()
"""

import json
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

LIMIT_SECONDS = 0.25
_PAUSE_SECONDS = 0.02
# A loop that stands still for longer is reported as that.
_PATIENCE_SECONDS = 60.0
_REQUEST = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class LoopProbe:
    """Asks while the block runs. Afterwards: how often, the longest wait, the latest wake-up, and what went wrong.

    `slow_seconds` is what 999 of 1,000 waits are no longer than.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.asked = 0
        self.longest_seconds = 0.0
        self.slow_seconds = 0.0
        self.late_seconds = 0.0
        self.faults: list[str] = []

    def __enter__(self) -> Self:
        command = [sys.executable, str(Path(__file__)), str(self._port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        # Its first answer has come: from here on nothing is missed.
        self._process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        told, _nothing = self._process.communicate("\n", timeout=2 * _PATIENCE_SECONDS)
        for name, value in json.loads(told).items():
            setattr(self, name, value)

    def require_quick(self, limit_seconds: float = LIMIT_SECONDS) -> None:
        """Assert that every answer came, and none later than the limit and what the machine itself was late."""
        assert not self.faults, self.faults
        assert self.asked > 0
        allowed = limit_seconds + 2 * self.late_seconds
        assert self.longest_seconds < allowed, (
            f"/livez was answered after {self.longest_seconds:.3f} s; {limit_seconds} s are allowed, and the machine "
            f"was {self.late_seconds:.3f} s late"
        )


def _ask(connection: socket.socket) -> str | None:
    """One answer on the kept connection; what is wrong with it, or None."""
    connection.sendall(_REQUEST)
    answer = b""
    while not answer.endswith(b"}"):
        part = connection.recv(65536)
        if not part:
            return "the connection was closed"
        answer += part
    status = answer.partition(b"\r\n")[0].decode("latin-1")
    return None if status.startswith("HTTP/1.1 200 ") else status


def _main(port: int) -> None:
    waits, late, faults = list[float](), 0.0, list[str]()
    connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS)
    while True:
        begin = time.monotonic()
        try:
            fault = _ask(connection)
        except OSError as error:
            fault = repr(error)
        waits.append(time.monotonic() - begin)
        if fault is not None:
            faults.append(fault)
            connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS)
        if len(waits) == 1:
            sys.stdout.write("\n")
            sys.stdout.flush()
        begin = time.monotonic()
        if select.select([sys.stdin], [], [], _PAUSE_SECONDS)[0]:
            break
        late = max(late, time.monotonic() - begin - _PAUSE_SECONDS)
    waits.sort()
    told = {
        "asked": len(waits),
        "longest_seconds": waits[-1],
        "slow_seconds": waits[-1 - len(waits) // 1000],
        "late_seconds": late,
        "faults": faults[:10],
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    _main(int(sys.argv[1]))
