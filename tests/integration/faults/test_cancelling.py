"""Fault 10: a job is cancelled while it waits, while it runs, just as it ends, and when its process hangs."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from tests.integration.faults.home import Home
from tests.integration.faults.scenario import quick, slow, wait_until

ROUNDS = 60


@pytest.fixture(scope="module", params=["redis", "embedded"])
def shared_home(request: pytest.FixtureRequest) -> Home:
    home: Home = request.getfixturevalue(f"{request.param}_home")
    return home


@pytest.fixture
def home(shared_home: Home) -> Iterator[Home]:
    yield shared_home
    for job in shared_home.witness.jobs:
        shared_home.cancel(job)
    shared_home.witness.jobs.clear()


def test_job_is_never_begun_when_it_is_cancelled_in_the_queue(home: Home) -> None:
    witness = home.witness
    running, waiting = witness.submit(slow(seconds=10)), witness.submit(slow())
    witness.wait_for_start(running)
    first, second = home.cancel(waiting), home.cancel(waiting)
    assert (first.status_code, first.json()["state"]) == (202, "cancelled")
    assert (second.status_code, second.json()["revision"]) == (200, first.json()["revision"])
    home.cancel(running)
    witness.assert_succeeded(witness.submit(quick()))
    assert witness.attempts(waiting) == []
    assert witness.look(waiting) == first.json()


def test_next_job_is_computed_when_the_running_one_is_cancelled(home: Home) -> None:
    witness = home.witness
    job = witness.submit(slow(seconds=10))
    attempt = witness.wait_for_start(job)
    witness.wait_for_fraction(job, 0.01)
    child = home.child()
    cancelled = home.cancel(job)
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    following = witness.submit(quick())
    witness.wait_for_start(following)
    # It has given up by itself.
    assert witness.outcome(job, attempt) == "cancel"
    assert home.child() == child
    witness.assert_succeeded(following)
    assert witness.look(job) == cancelled.json()


def test_state_is_final_once_when_cancelling_races_the_finish(home: Home) -> None:
    """The pause before the cancel follows the time that a job takes, so that both come first now and then."""
    ended, pause = {}, 0.01
    for _ in range(ROUNDS):
        job = home.witness.submit(quick())
        time.sleep(pause)
        answer = home.cancel(job)
        if answer.status_code == 409:
            assert answer.json()["code"] == "job_ended"
            ended[job], pause = "succeeded", pause * 0.8
        else:
            assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
            ended[job], pause = "cancelled", pause * 1.2
        assert home.witness.look(job)["state"] == ended[job]
    assert set(ended.values()) == {"succeeded", "cancelled"}
    home.witness.assert_succeeded(home.witness.submit(quick()))
    for job, state in ended.items():
        assert home.witness.look(job)["state"] == state
        if state == "succeeded":
            home.witness.assert_succeeded(job)


def test_process_is_killed_when_it_hangs_in_a_cancelled_job(home: Home) -> None:
    witness = home.witness
    job = witness.submit(slow())
    attempt = witness.wait_for_start(job)
    child = home.child()
    try:
        os.kill(child, signal.SIGSTOP)
        cancelled = home.cancel(job)
        assert cancelled.status_code == 202
        following = witness.submit(quick())
        wait_until(lambda: not psutil.pid_exists(child), "the process that hangs is killed")
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    witness.assert_succeeded(following)
    assert witness.attempts(job) == [attempt]
    assert witness.outcome(job, attempt) == ""
    assert witness.look(job) == cancelled.json()
