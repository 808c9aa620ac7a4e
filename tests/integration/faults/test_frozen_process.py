"""Fault 4: a process that sleeps through its lease must find out that its chunk is no longer its own."""

import os
import signal
from collections.abc import Callable

import pytest

from tests.integration.faults.conftest import Site
from tests.integration.faults.home import Home
from tests.integration.faults.scenario import Witness, slow, wait_until


@pytest.mark.parametrize("until", ["taken over", "done"])
def test_process_commits_nothing_when_it_has_slept_through_its_lease(site: Site, witness: Witness, until: str):
    sleep_through_lease(site, witness, until)


def sleep_through_lease(site: Site | Home, witness: Witness, until: str) -> None:
    """Freeze a process, let another do its chunk, and wake it; fails where both commit, as without fences."""
    job = witness.submit(slow())
    attempt = witness.wait_for_start(job)
    witness.wait_for_fraction(job, 0.1)
    frozen = site.holder(attempt)
    over: dict[str, Callable[[], object]] = {
        "taken over": lambda: witness.wait_for_start(job, 2),
        "done": lambda: witness.wait_for_state(job, "succeeded"),
    }
    os.kill(frozen, signal.SIGSTOP)
    try:
        over[until]()
    finally:
        os.kill(frozen, signal.SIGCONT)
    starts = witness.assert_succeeded(job)
    assert [(start.chunk, start.number) for start in starts] == [(0, 1), (0, 2), (1, 1)]
    wait_until(lambda: witness.outcome(job, attempt), "the process that slept notices")
    assert witness.outcome(job, attempt) == "fenced"
    # The record has not changed under the client, neither has what it names.
    witness.assert_succeeded(job)
