"""Servers of others, started from the environment that `make foreign` installs. Holds no tests."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
FOREIGN = ROOT / ".venv-foreign" / "bin"
START_SECONDS = 120.0
STOP_SECONDS = 20.0


@contextmanager
def program(log: Path, *command: str, answers: str, **environment: str) -> Iterator[str]:
    """Run a server on a free port, `{port}` in the command, until the block ends; its URL, once it answers there."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    words = [str(FOREIGN / command[0]), *(word.format(port=port) for word in command[1:])]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            words, cwd=log.parent, env=os.environ | environment, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        _wait(process, f"{url}{answers}", log)
        yield url
    finally:
        # With what it has started: it leads a group of its own.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_SECONDS)


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx2.get(url).is_success:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer:\n{log.read_text(encoding='utf-8', errors='replace')}")
