"""Faults 1 without Redis: the service's one child is killed, and the service itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from service.settings import Settings
from tests.integration.faults.conftest import is_alive
from tests.integration.faults.home import Home
from tests.integration.faults.scenario import slow, wait_until
from tests.server import ROOT


def test_job_succeeds_and_no_child_is_left_when_child_and_service_are_killed(embedded_home: Home):
    witness, (server,) = embedded_home.witness, embedded_home.servers
    job = witness.submit(slow(seconds=5))
    witness.wait_for_start(job)
    first = embedded_home.child()
    os.kill(first, signal.SIGKILL)
    witness.wait_for_start(job, 2)
    witness.wait_for_fraction(job, 0.1)
    second = embedded_home.child()
    assert second != first
    server.kill()
    server.start()
    wait_until(lambda: not is_alive(second), "the child of the killed service has ended")
    starts = [start for start in witness.assert_succeeded(job) if start.chunk == 0]
    # The death of a child costs an attempt; the one that lost its service has handed back what it held.
    assert [start.number for start in starts] == [1, 2, 2]
    assert witness.outcome(job, starts[1]) == "release"


def test_child_ends_without_getting_ready_when_its_service_ends_meanwhile(tmp_path: Path):
    settings = Settings(data=tmp_path).model_dump_json() + "\n"
    command = [sys.executable, "-m", "service.embedded", "embedded-1", "embedded-1-1"]
    ended = subprocess.run(command, cwd=ROOT, input=settings, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    # Importing TensorFlow takes seconds, on a busy machine more than the grace that the service has.
    assert "is ready" not in ended.stderr
