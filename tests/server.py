"""A real `convscope serve` process on a free port, for the tests that need a socket."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx2

from tests.ports import free_port

ROOT = Path(__file__).parents[1]
# Guards against hanging; no start is expected to take long.
START_SECONDS = 120.0
STOP_SECONDS = 30.0


class Server:
    """The process answers `/livez` once the block is entered; what it wrote so far is `log()`.

    Runs in the project's folder, whose packages then come before installed ones, with the given environment variables.
    """

    # What is run in place of the program itself, by a test of the tests.
    program = "service.cli"
    root = ROOT

    def __init__(self, log: Path, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.exit_code: int | None = None
        self._log = log
        # Other tests ask TensorFlow for more words; a service must be silent by itself.
        inherited = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
        # Records of its own; and a process for jobs only where there are some.
        own = {"CONVSCOPE_DATA": str(log.parent / "data"), "CONVSCOPE_WORKER__WARM": "false"}
        self._environment = inherited | own | environment | {"CONVSCOPE_PORT": str(self.port)}

    def __enter__(self) -> Self:
        self._log.unlink(missing_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, also again after an end: the same port, and the log goes on."""
        command = [sys.executable, "-m", self.program, "serve"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.root, env=self._environment, stdout=log, stderr=log)
        self._wait_for("/livez")

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Until the built-in model has run."""
        self._wait_for("/readyz")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self.exit_code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.exit_code = self._process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL: this process alone, whatever it has started."""
        self._process.kill()
        self.exit_code = self._process.wait(STOP_SECONDS)

    def children(self) -> list[int]:
        """Process ids of what it has started, by whichever thread."""
        lists = Path(f"/proc/{self._process.pid}/task").glob("*/children")
        return [int(pid) for text in lists for pid in text.read_text(encoding="ascii").split()]

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _wait_for(self, route: str) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if httpx2.get(self.url + route).is_success:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.1)
        self.stop()
        raise AssertionError(f"the server does not answer {route}:\n{self.log()}")
