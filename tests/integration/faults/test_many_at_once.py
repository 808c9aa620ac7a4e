"""Fault 9: a hundred equal requests at once, at two services."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx2

from tests.integration.faults.home import Home
from tests.integration.faults.scenario import PATIENCE_SECONDS, ROUTE, quick

COUNT = 100
CONNECTIONS = 25


def send_at_once(home: Home, body: dict[str, Any], **headers: str) -> list[httpx2.Response]:
    """Every connection begins together with all others, half of them at either service."""
    begin = Barrier(CONNECTIONS)

    def send(number: int) -> list[httpx2.Response]:
        with httpx2.Client(base_url=home.servers[number % 2].url, timeout=PATIENCE_SECONDS) as client:
            begin.wait(PATIENCE_SECONDS)
            return [client.post(ROUTE, json=body, headers=headers) for _ in range(COUNT // CONNECTIONS)]

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return [response for responses in pool.map(send, range(CONNECTIONS)) for response in responses]


def jobs_of(home: Home, seed: int) -> list[str]:
    jobs = home.client.get("/v1/jobs", params={"limit": 200}).json()["jobs"]
    return [job["id"] for job in jobs if job["params"]["seed"] == seed]


def test_all_are_one_job_when_a_hundred_send_the_same(redis_home: Home) -> None:
    body = quick(seed=900_001)
    responses = send_at_once(redis_home, body)
    assert len(responses) == COUNT
    assert {response.status_code for response in responses} <= {200, 202}
    (job,) = {response.json()["id"] for response in responses}
    starts = redis_home.witness.assert_succeeded(job)
    assert jobs_of(redis_home, 900_001) == [job]
    assert Counter(start.chunk for start in starts) == {0: 1, 1: 1}


def test_all_are_one_job_when_a_hundred_send_the_same_key(redis_home: Home) -> None:
    """Each asks for a fresh computation: the key alone makes them one."""
    body = quick(seed=900_002)
    headers = {"Idempotency-Key": "a-hundred-of-one", "Cache-Control": "no-cache"}
    responses = send_at_once(redis_home, body, **headers)
    statuses = Counter(response.status_code for response in responses)
    assert set(statuses) <= {200, 202, 409}
    assert {r.json()["code"] for r in responses if r.status_code == 409} <= {"request_in_progress"}
    (job,) = {response.json()["id"] for response in responses if response.status_code != 409}
    redis_home.witness.assert_succeeded(job)
    assert jobs_of(redis_home, 900_002) == [job]
