"""Fault 1 and 2: what computes is killed, at every stage of its work."""

import os
import signal
from pathlib import Path

import pytest

from tests.integration.faults.conftest import Site, is_alive
from tests.integration.faults.scenario import Attempt, Witness, quick, slow, wait_until


def _numbers(attempts: list[Attempt]) -> list[tuple[int, int]]:
    return [(attempt.chunk, attempt.number) for attempt in attempts]


@pytest.mark.parametrize("fraction", [0.0, 0.7])
def test_another_process_does_the_chunk_when_its_own_is_killed(site: Site, witness: Witness, fraction: float):
    job = witness.submit(slow(seconds=5))
    attempt = witness.wait_for_start(job)
    witness.wait_for_fraction(job, fraction)
    site.kill(attempt)
    starts = witness.assert_succeeded(job)
    assert _numbers(starts) == [(0, 1), (0, 2), (1, 1)]
    assert witness.outcome(job, attempt) == ""
    assert witness.look(job)["attempts"] == 2


def test_pictures_are_written_anew_when_the_process_is_killed_before_it_says_so(site: Site, witness: Witness):
    job = witness.submit(slow())
    attempt = witness.wait_for_start(job)
    witness.wait_for_fraction(job, 0.3)
    # Asked now: in the hole its lease ends, and the record forgets it.
    process = site.holder(attempt)
    site.worker_proxy.black_hole()
    written = site.pictures(job, attempt)
    wait_until((written / "filter-3.png").exists, "the pictures are written")
    os.kill(process, signal.SIGKILL)
    site.worker_proxy.mend()
    starts = witness.assert_succeeded(job)
    assert _numbers(starts) == [(0, 1), (0, 2), (1, 1)]
    assert witness.outcome(job, attempt) == ""
    # Those that nobody committed lie beside those of the record, until they are collected.
    assert _read(written) == _read(site.pictures(job, starts[1]))


def test_job_fails_and_the_next_one_runs_when_every_process_that_starts_it_is_killed(site: Site, witness: Witness):
    job = witness.submit(slow(seconds=10))
    for number in (1, 2, 3):
        site.kill(witness.wait_for_start(job, number))
    failed = witness.wait_for_state(job, "failed")
    assert failed["error"]["code"] == "worker_lost"
    assert failed["attempts"] == 3
    following = witness.submit(quick())
    witness.assert_succeeded(following)
    assert _numbers(witness.attempts(job)) == [(0, 1), (0, 2), (0, 3)]


def test_two_workers_share_a_job_and_one_does_the_rest_when_the_other_is_killed(site: Site, witness: Witness):
    worker, other = site.worker, site.add_worker()
    job = witness.submit(slow(seconds=1, filters="0-31"))
    wait_until(lambda: job in worker.log() and job in other.log(), "both work on the job")
    children = worker.children()
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    wait_until(lambda: not any(map(is_alive, children)), "the children of a dead worker end")
    starts = witness.assert_succeeded(job)
    assert {start.chunk for start in starts} == {0, 1, 2, 3, 4}
    wait_until(lambda: witness.outcome(job, starts[-1]), "the last commit is logged")
    outcomes = {start: witness.outcome(job, start) for start in starts}
    assert "" in outcomes.values(), "the dead have ended what they held"
    # What did not commit was done anew, and only that; one may have died with its chunk before it could say so.
    again = {start.chunk for start in starts if start.number > 1}
    assert {start.chunk for start in starts if outcomes[start] != "committed"} <= again
    assert {start.number for start in starts if outcomes[start] == "committed" and start.chunk in again} == {2}


def _read(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*.png")}
