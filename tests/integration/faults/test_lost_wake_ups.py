"""Fault 7: nobody is told of a job that is written down. And fault 12: who does without the reconciler loses it."""

import os
import re
import signal
import time
from pathlib import Path
from uuid import uuid4

import pytest

from service.jobs.worker.celery_notifier import CeleryNotifier, make_celery
from tests.integration.faults.home import Home, open_redis_home
from tests.integration.faults.scenario import PATIENCE_SECONDS, quick, wait_until

MUTANT = "tests.integration.faults.mutant"
# The reconciler looks every second, and a job takes a moment; without it nothing would come in any time.
MUTANT_SECONDS = 8.0
_RECEIVED = re.compile(r"Task convscope\.work\[(\S+)\] received")


def lose_the_worker(home: Home) -> str:
    """Submit a job whose wake-up is heard by a worker that dies before it claims anything, and start another worker."""
    child = _stop_idle_child(home)
    try:
        heard = len(_RECEIVED.findall(home.worker.log()))
        job = home.witness.submit(quick())
        wait_until(lambda: len(_RECEIVED.findall(home.worker.log())) > heard, "the wake-up is heard")
        assert home.witness.look(job)["state"] == "queued"
    except AssertionError:
        os.kill(child, signal.SIGCONT)
        raise
    home.worker.kill()
    home.start_worker()
    home.worker.wait_until_ready()
    return job


def _stop_idle_child(home: Home) -> int:
    """SIGSTOP the child while it hears no wake-up: its worker then takes the next one from the list, and no other."""
    child = home.child()
    while True:
        os.kill(child, signal.SIGSTOP)
        time.sleep(0.2)
        log = home.worker.log()
        if all(f"[{task}] succeeded" in log for task in _RECEIVED.findall(log)[-1:]):
            return child
        os.kill(child, signal.SIGCONT)
        time.sleep(0.2)


def write_without_ringing(home: Home, like: str) -> str:
    """What an API leaves that dies between the record and the wake-up: a job like another one."""
    store = home.witness.store
    record = store.get(like).record.model_copy(update={"id": uuid4().hex})
    return store.submit(record, duplicate_key=record.id).id


def are_done(home: Home, *jobs: str, seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether all of them succeed in that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if all(home.witness.look(job)["state"] == "succeeded" for job in jobs):
            return True
        time.sleep(0.1)
    return False


def test_job_is_done_when_its_worker_dies_between_hearing_and_claiming(redis_home: Home) -> None:
    job = lose_the_worker(redis_home)
    assert are_done(redis_home, job)
    assert [attempt.number for attempt in redis_home.witness.assert_succeeded(job)] == [1, 1]


@pytest.mark.parametrize("mode", ["redis", "embedded"])
def test_job_is_done_when_its_service_dies_before_it_rings(mode: str, request: pytest.FixtureRequest) -> None:
    home: Home = request.getfixturevalue(f"{mode}_home")
    like = home.witness.submit(quick())
    home.witness.assert_succeeded(like)
    job = write_without_ringing(home, like)
    assert are_done(home, job)
    home.witness.assert_succeeded(job)


def test_jobs_are_lost_when_there_is_no_reconciler(tmp_path: Path) -> None:
    with open_redis_home(tmp_path, services=1, program=MUTANT, MUTATION="reconciler") as home:
        home.witness.assert_succeeded(home.witness.submit(quick()))
        first = lose_the_worker(home)
        second = write_without_ringing(home, first)
        assert not are_done(home, first, seconds=MUTANT_SECONDS / 2)
        assert not are_done(home, second, seconds=MUTANT_SECONDS / 2)
        # And nothing but a wake-up was missing.
        assert home.redis is not None
        notifier = CeleryNotifier(make_celery(home.redis.url), home.redis.url)
        notifier.notify("cpu", 1)
        assert are_done(home, first, second)
        notifier.close()
