"""Fault 6: the network between the processes and Redis cuts, swallows, and loses replies."""

import re
import time
from functools import partial
from hashlib import sha1

import pytest

from service.jobs.store.redis_scripts import _text
from tests.integration.faults.conftest import Site
from tests.integration.faults.scenario import Witness, quick, slow, wait_until


@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_job_succeeds_when_connections_are_cut_while_it_runs(site: Site, witness: Witness, seconds: float):
    job = witness.submit(slow())
    witness.wait_for_start(job)
    for proxy in (site.worker_proxy, site.api_proxy):
        proxy.cut()
    # How long the fault lasts, not how long something may take.
    time.sleep(seconds)
    for proxy in (site.worker_proxy, site.api_proxy):
        proxy.mend()
    witness.assert_succeeded(job)


def test_wake_up_is_sent_again_when_a_message_is_popped_into_a_hole(site: Site, witness: Witness):
    job = _ring_into_hole(site, witness)
    time.sleep(3)
    assert witness.attempts(job) == []
    site.worker_proxy.mend()
    witness.assert_succeeded(job)


def test_jobs_are_done_when_the_worker_s_connections_are_dead_and_nobody_says_so(site: Site, witness: Witness):
    site.worker_proxy.strand()
    job = witness.submit(quick())
    witness.assert_succeeded(job)


@pytest.mark.parametrize("script", ["claim", "finish"])
def test_nothing_happens_twice_when_a_reply_to_the_worker_is_lost(site: Site, witness: Witness, script: str):
    # Redis knows the script then, also after a restart: the reply that is lost is that of its run.
    witness.assert_succeeded(witness.submit(quick()))
    lost = site.worker_proxy.lost
    site.worker_proxy.lose_replies(_digest(script))
    job = witness.submit(quick())
    starts = witness.assert_succeeded(job)
    assert site.worker_proxy.lost == lost + 1
    assert [(start.chunk, start.number) for start in starts] == [(0, 1), (1, 1)]
    wait_until(lambda: witness.outcome(job, starts[1]), "the worker has heard of its success")
    assert [witness.outcome(job, start) for start in starts] == ["committed", "committed"]


def test_one_job_is_made_when_the_reply_to_a_submit_is_lost(site: Site, witness: Witness):
    witness.assert_succeeded(witness.submit(quick()))
    before = {snapshot.record.id for snapshot in witness.store.list(limit=200)}
    lost = site.api_proxy.lost
    site.api_proxy.lose_replies(_digest("submit"))
    job = witness.submit(quick())
    assert site.api_proxy.lost == lost + 1
    assert {snapshot.record.id for snapshot in witness.store.list(limit=200)} - before == {job}
    witness.assert_succeeded(job)


def _ring_into_hole(site: Site, witness: Witness) -> str:
    """A job whose wake-up Redis has given to a worker that never gets it. Redis waits for a second at a time: try again
    where the wake-up came in between."""
    for _ in range(20):
        wait_until(lambda: _wake_ups(site) == 0, "no wake-up is left")
        before = _rung(site)
        site.worker_proxy.black_hole()
        job = witness.submit(quick())
        wait_until(partial(_has_rung_since, site, before), "the wake-up is sent")
        if _wake_ups(site) == 0:
            return job
        site.worker_proxy.mend()
        witness.assert_succeeded(job)
    raise AssertionError("no wake-up was ever taken")


def _wake_ups(site: Site) -> int:
    return int(site.redis.command("LLEN", "cpu").strip(":\r\n"))


def _rung(site: Site) -> int:
    found = re.search(r"cmdstat_lpush:calls=(\d+)", site.redis.command("INFO", "commandstats"))
    return int(found[1]) if found else 0


def _has_rung_since(site: Site, before: int) -> bool:
    return _rung(site) > before


def _digest(script: str) -> bytes:
    return sha1(_text(script).encode(), usedforsecurity=False).hexdigest().encode()
