"""The parent's side of a cell: starts it, waits for it, ends it. Imports no TensorFlow."""

import errno
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryFile
from threading import BoundedSemaphore, Event, Lock
from typing import Final

from service.errors import ModelFailedError
from service.keras.cell.limits import CellLimits
from service.keras.cell.parcel import CellRequest

logger = logging.getLogger(__name__)

# Each takes half a gigabyte for TensorFlow alone, and every core while it runs.
_AT_A_TIME: Final = 2
_POLL_SECONDS: Final = 0.02
_SAID_BYTES: Final = 2000
# Of this process's environment, where the system's libraries lie and how TensorFlow counts.
_KEPT: Final = ("LD_LIBRARY_PATH", "TF_ENABLE_ONEDNN_OPTS")


class Cells:
    """Starts a process for each file, at most two at a time, and none again. Safe to use from several threads.

    `entry` is the module that runs in it. `started` counts them.
    """

    def __init__(self, limits: CellLimits, *, entry: str = "service.keras.cell.entry") -> None:
        self.started = 0
        self.limits = limits
        self._entry = entry
        self._places = BoundedSemaphore(_AT_A_TIME)
        self._lock = Lock()
        self._closed = Event()

    def close(self) -> None:
        """End those that run, and start no more."""
        self._closed.set()

    def run(self, request: CellRequest, room: Path) -> None:
        """Have the request answered by a process that may write to the folder `room`. Raises ModelFailedError."""
        with self._places, TemporaryFile(dir=room) as said:
            self._require_open()
            with self._lock:
                self.started += 1
            with Popen(  # noqa: S603 -- this interpreter, and a module of ours
                # No folder that happens to be the current one, and none of the user's own, is looked into for modules.
                [sys.executable, "-P", "-s", "-m", self._entry],
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=said,
                cwd=room,
                env=_environment(room),
                pass_fds=[request.output, *(file.descriptor for file in request.files)],
                start_new_session=True,
            ) as process:
                try:
                    _send(process, request)
                    self._wait(process, request.files[0].name)
                finally:
                    # While the process is not waited for, its number is nobody else's.
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
            if process.returncode:
                said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID_BYTES))
                logger.warning("a cell ended with %d: %s", process.returncode, said.read().decode(errors="replace"))
                raise self._explain(process.returncode, request.files[0].name)

    def _wait(self, process: "Popen[bytes]", name: str) -> None:
        """Until it has ended, and leave it to be waited for."""
        end = time.monotonic() + self.limits.seconds
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            if time.monotonic() > end:
                raise ModelFailedError(
                    f"loading '{name}' took more than {self.limits.seconds:g} s (CONVSCOPE_LIMITS__CELL_SECONDS)"
                ) from TimeoutError(errno.ETIMEDOUT, "")
            self._closed.wait(_POLL_SECONDS)
            self._require_open()

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise ModelFailedError("the service is shutting down") from InterruptedError(errno.EINTR, "")

    def _explain(self, code: int, name: str) -> ModelFailedError:
        if code == -signal.SIGXCPU:
            return ModelFailedError(
                f"loading '{name}' took more than {self.limits.processor_seconds} s of processor time "
                "(CONVSCOPE_LIMITS__CELL_PROCESSOR_SECONDS)"
            )
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        error = ModelFailedError(
            f"the process that loaded '{name}' ended with {how}: out of memory (CONVSCOPE_LIMITS__CELL_MEMORY_BYTES), "
            "or a fault that the file provokes; save the model again"
        )
        if code in (-signal.SIGKILL, -signal.SIGTERM) or code > 0:
            # Not by itself.
            error.__cause__ = OSError(errno.EAGAIN, how)
        return error


def _send(process: "Popen[bytes]", request: CellRequest) -> None:
    assert process.stdin is not None, "it was given a pipe"
    # Where it has ended by then, its exit code says why.
    with suppress(BrokenPipeError), process.stdin as stream:
        stream.write(request.model_dump_json().encode())


def _environment(room: Path) -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | {
        "PYTHONPATH": os.pathsep.join(os.path.abspath(place) for place in sys.path),  # noqa: PTH100 -- "" is the current
        "PYTHONUTF8": "1",
        "HOME": str(room),
        "TMPDIR": str(room),
        "KERAS_HOME": str(room),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # A pass on the processor proves as much, and leaves the GPU's memory alone.
        "CUDA_VISIBLE_DEVICES": "-1",
    }
