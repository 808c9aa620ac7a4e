"""Faults 1 without Redis: the service's one child is killed, and the service itself."""

import os
import signal

from tests.integration.faults.conftest import is_alive
from tests.integration.faults.home import Home
from tests.integration.faults.scenario import slow, wait_until


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
