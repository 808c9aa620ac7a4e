"""The embedded worker, seen from the service: one child process at low priority, started again when it ends.

Interactive requests keep the machine, and a job that crashes or hangs takes nothing but the child with it.
"""

import logging
import os
import subprocess
import sys
from contextlib import suppress
from functools import cache
from threading import Event, Lock, Thread
from time import monotonic
from typing import Final
from uuid import uuid4

from service.jobs.store.errors import JobsUnavailableError
from service.jobs.store.port import JobStore, Overdue

logger = logging.getLogger(__name__)

NICENESS: Final = 10
# A child that ends sooner than this after its start is started again ever more slowly.
_STEADY_SECONDS: Final = 60.0
_MAX_PAUSE_SECONDS: Final = 30.0


class EmbeddedWorker:
    """A Notifier that wakes its own child; the child starts with the first wake-up, or with `start`.

    `configuration` is a line of text that the child's composition root (`python -m service.embedded`) can read.
    """

    def __init__(self, store: JobStore, configuration: str, *, grace_seconds: float) -> None:
        self.name = f"embedded-{uuid4().hex}"
        self._store = store
        self._configuration = configuration
        self._standard_error = _standard_error()
        self._grace_seconds = grace_seconds
        self._lock = Lock()
        self._started = False
        self._closed = Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._process_name = ""
        self._thread = Thread(target=self._keep_running, name="embedded-worker", daemon=True)

    def start(self) -> None:
        """Start the child; later calls do nothing."""
        with self._lock:
            if not self._started and not self._closed.is_set():
                self._started = True
                self._thread.start()

    def notify(self, queue: str, count: int) -> None:  # noqa: ARG002 - the child looks into every queue
        """See Notifier."""
        self.start()
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError, ValueError):  # it has just ended, and the next one looks by itself
                process.stdin.write(b"\n")
                process.stdin.flush()

    def stop_process(self, overdue: Overdue) -> None:
        """End the child where it is the one that is overdue; the next one starts at once."""
        if self._process is not None and overdue.worker.process == self._process_name:
            self._process.kill()

    def close(self) -> None:
        """Have the child hand back its chunk and end, and wait for it for the grace period."""
        with self._lock:
            self._closed.set()
        process = self._process
        if process is None or process.stdin is None:
            return
        with suppress(OSError, ValueError):
            process.stdin.close()
        try:
            process.wait(self._grace_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._abandon()

    def _keep_running(self) -> None:
        pause = 0.0
        while not self._closed.wait(pause):
            started = monotonic()
            self._run_once()
            pause = 0.0 if monotonic() - started > _STEADY_SECONDS else min(2 * pause + 0.5, _MAX_PAUSE_SECONDS)

    def _run_once(self) -> None:
        self._process_name = f"{self.name}-{uuid4().hex[:8]}"
        command = [sys.executable, "-m", "service.embedded", self.name, self._process_name]
        process = subprocess.Popen(  # noqa: S603 - this very program
            command, stdin=subprocess.PIPE, stderr=self._standard_error
        )
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.write(self._configuration.encode() + b"\n")
            process.stdin.flush()
        with suppress(OSError):  # already gone
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        with self._lock:
            self._process = process
            closing = self._closed.is_set()
        if closing:
            process.stdin.close()
        code = process.wait()
        if not self._closed.is_set():
            logger.log(logging.INFO if code == 0 else logging.WARNING, "the embedded worker ended with %d", code)
            self._abandon()

    def _abandon(self) -> None:
        """What the dead child held is free at once, instead of when its lease ends."""
        with suppress(JobsUnavailableError):
            self._store.abandon(self._process_name)


@cache
def _standard_error() -> int | None:
    """A copy from the beginning: a child that starts while TensorFlow's chatter is held back must be heard too."""
    try:
        return os.dup(2)
    except OSError:  # a process without
        return None
