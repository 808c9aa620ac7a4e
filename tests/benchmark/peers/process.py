"""The other end of `child`: a library in its own environment and process, to be asked in turns with ourselves."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np

from service.engine.arrays import Array

ROOT = Path(__file__).parents[3]
ENVIRONMENT = ROOT / ".venv-peers"


class PeerFailedError(Exception):
    """A library is not installed, or does not run here."""


class Peer:
    """Has done its task once when it is made. Raises PeerFailedError with the library's last words."""

    def __init__(self, module: str, task: str, **arguments: Any) -> None:
        if not (ENVIRONMENT / ".installed").exists():
            raise PeerFailedError("not installed")
        self._module = module
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [ENVIRONMENT / "bin" / "python", "-m", "tests.benchmark.peers.child"],
            cwd=ROOT,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "MPLBACKEND": "agg"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.versions: dict[str, str] = self._ask({"open": task, "module": module, "arguments": arguments})
        self.run(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def run(self, number: int) -> float:
        """Milliseconds."""
        return float(self._ask({"run": number, "show": False}))

    def show(self, number: int) -> Array:
        """What came out."""
        return np.asarray(self._ask({"run": number, "show": True}), np.float32)

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError) as error:
            self._log.seek(0)
            words = self._log.read().decode("utf-8", "replace").strip().splitlines()
            self._process.kill()
            self._process.wait()
            raise PeerFailedError(f"{self._module}: {words[-1] if words else 'ended'}") from error
