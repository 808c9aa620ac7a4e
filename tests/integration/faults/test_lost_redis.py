"""Fault 5: Redis is killed and started again, at every stage of a job. Its append-only file is all that is left."""

from concurrent.futures import ThreadPoolExecutor

from tests.integration.faults.conftest import Site
from tests.integration.faults.scenario import Witness, quick, slow, wait_until


def test_every_request_is_one_job_when_redis_dies_while_they_are_sent(site: Site, witness: Witness):
    before = {snapshot.record.id for snapshot in witness.store.list(limit=200)}
    bodies = [quick() for _ in range(8)]
    with ThreadPoolExecutor(1) as pool:
        sent = [pool.submit(witness.submit_patiently, body, f"redis-{body['seed']}") for body in bodies]
        sent[1].result()
        site.redis.kill()
        response = witness.client.post("/v1/models/shapes/filter-patterns", json=quick())
        assert response.status_code == 503
        assert response.json()["code"] == "jobs_unavailable"
        site.redis.start()
        jobs = [future.result() for future in sent]
    assert [witness.submit_patiently(body, f"redis-{body['seed']}") for body in bodies] == jobs
    assert {snapshot.record.id for snapshot in witness.store.list(limit=200)} - before == set(jobs)
    for job in jobs:
        witness.assert_succeeded(job)


def test_nothing_is_lost_when_redis_dies_with_jobs_queued_and_running(site: Site, witness: Witness):
    running = [witness.submit(slow()) for _ in range(2)]
    for job in running:
        witness.wait_for_start(job)
    queued = [witness.submit(quick()) for _ in range(2)]
    site.redis.kill()
    site.redis.start()
    for job in running + queued:
        witness.assert_succeeded(job)


def test_chunk_is_committed_once_when_redis_is_away_while_it_is_finished(site: Site, witness: Witness):
    job = witness.submit(slow())
    attempt = witness.wait_for_start(job)
    witness.wait_for_fraction(job, 0.3)
    site.redis.kill()
    wait_until((site.pictures(job, attempt) / "filter-3.png").exists, "the pictures are written")
    site.redis.start()
    starts = [start for start in witness.assert_succeeded(job) if start.chunk == 0]
    # Whoever comes first: the process that waited with the finished chunk, or the look for overdue leases.
    assert len(starts) <= 2
    wait_until(lambda: all(witness.outcome(job, start) for start in starts), "every attempt has noticed its end")
    assert [witness.outcome(job, start) for start in starts].count("committed") == 1
