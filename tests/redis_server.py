"""A real redis-server of a test's own: a free port, a folder, an append-only file, and no eviction."""

import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.ports import free_port

# Guards against hanging; no start is expected to take long.
START_SECONDS = 20.0
STOP_SECONDS = 20.0


class RedisServer:
    """Runs inside the block; `arguments` are further ones of the command line, such as `--maxmemory 2mb`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, again with the same port and folder, until it answers; what it kept is loaded then."""
        self._folder.mkdir(parents=True, exist_ok=True)
        options = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self._folder), "save": ""}
        durable = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
        command = ["redis-server"]
        for name, value in (options | durable).items():
            command += [f"--{name}", value]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self._arguments], stdout=log, stderr=log)
        self._wait()

    def stop(self) -> None:
        """SIGTERM: everything is written first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: what was written to the append-only file is all that is left."""
        self._end(signal.SIGKILL)

    def is_running(self) -> bool:
        return self._process is not None

    def pause(self) -> None:
        """SIGSTOP: connections open, no answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def command(self, *words: str) -> str:
        """Send one command of plain words; the reply as Redis writes it."""
        with socket.create_connection(("127.0.0.1", self.port), START_SECONDS) as connection:
            connection.sendall((" ".join(words) + "\r\nQUIT\r\n").encode())
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        return received.decode().removesuffix("+OK\r\n")

    def _wait(self) -> None:
        assert self._process is not None
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if self.command("PING") == "+PONG\r\n":
                    return
            except OSError:
                pass
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"redis-server does not answer:\n{(self._folder / 'redis.log').read_text()}")

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        # A paused one would never see a SIGTERM.
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        self._process = None
