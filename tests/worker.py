"""A real `convscope worker` process, with its children, for the tests of jobs over Redis."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from tests.server import ROOT

START_SECONDS = 120.0
STOP_SECONDS = 40.0


class WorkerProcess:
    """A worker whose children are warm once the block is entered; what it wrote so far is `log()`."""

    # What is run in place of the program itself, by a test of the tests.
    program = "service.cli"

    def __init__(self, log: Path, *arguments: str, **environment: str) -> None:
        self._log = log
        self._arguments = arguments
        self._environment = dict(os.environ) | environment
        self.exit_code: int | None = None

    def __enter__(self) -> Self:
        self.start()
        self.wait_until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        command = [sys.executable, "-m", self.program, "worker", *self._arguments]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait_until_ready(self, processes: int = 1) -> None:
        """Until so many of its children, ended ones included, have warmed up, and Celery takes tasks."""
        end = time.monotonic() + START_SECONDS
        while " ready." not in self.log() or self.log().count(" is warm") < processes:
            if time.monotonic() > end or self._process.poll() is not None:
                self.kill()
                raise AssertionError(f"the worker does not start:\n{self.log()}")
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def children(self) -> list[int]:
        """Process ids of the pool's children."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [pid for pid in map(int, text.split()) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def terminate(self) -> None:
        """Ask it to end, as Kubernetes does."""
        self._process.terminate()

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        self.exit_code = self._process.wait(seconds)
        return self.exit_code

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End the worker and all its children at once, as a machine that loses power does."""
        with_children = os.getpgid(self._process.pid) if self._process.poll() is None else None
        if with_children is not None:
            os.killpg(with_children, signal.SIGKILL)
        self.exit_code = self._process.wait(STOP_SECONDS)

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
