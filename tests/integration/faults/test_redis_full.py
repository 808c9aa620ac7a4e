"""Fault 13: Redis has no memory left. What was accepted is finished, what is not is refused whole."""

import os
import signal

from tests.integration.faults.home import Home
from tests.integration.faults.scenario import ROUTE, quick, wait_until

ROOM_BYTES = 300_000
# Far more than fit.
MOST = 2000


def used_bytes(home: Home) -> int:
    assert home.redis is not None
    lines = home.redis.command("INFO", "memory").split("\r\n")
    return int(next(line for line in lines if line.startswith("used_memory:")).partition(":")[2])


def count_records(home: Home) -> int:
    assert home.redis is not None
    return home.redis.command("KEYS", "convscope:job:*").count("convscope:job:")


def fill(home: Home) -> list[str]:
    """Submit until Redis is full; the jobs that were accepted."""
    accepted: list[str] = []
    for _ in range(MOST):
        response = home.client.post(ROUTE, json=quick())
        if response.status_code == 503:
            assert response.json()["code"] == "jobs_unavailable"
            assert "memory" in response.json()["detail"]
            assert int(response.headers["Retry-After"]) >= 1
            return accepted
        assert response.status_code == 202, response.text
        accepted.append(response.json()["id"])
    raise AssertionError("Redis is never full")


def test_jobs_are_refused_whole_and_accepted_ones_done_when_redis_is_full(redis_home: Home) -> None:
    home, witness = redis_home, redis_home.witness
    before = witness.submit(quick())
    witness.assert_succeeded(before)
    child, records = home.child(), count_records(home)
    os.kill(child, signal.SIGSTOP)
    try:
        home.ask("CONFIG", "SET", "maxmemory", str(used_bytes(home) + ROOM_BYTES))
        accepted = fill(home)
        assert count_records(home) == records + len(accepted)
        assert home.cancel(accepted[-1]).status_code == 202
        assert witness.look(before)["state"] == "succeeded"
        os.kill(child, signal.SIGCONT)
        # The worker hears wake-ups while Redis is full, and must live.
        witness.assert_succeeded(accepted[0])
    finally:
        os.kill(child, signal.SIGCONT)
        home.ask("CONFIG", "SET", "maxmemory", "0")
    for job in accepted[:-1]:
        witness.wait_for_state(job, "succeeded")
    assert witness.look(accepted[-1])["state"] == "cancelled"
    witness.assert_succeeded(witness.submit(quick()))
    wait_until(lambda: home.ask("SCARD", "convscope:active") == "0", "nothing is left over")
    assert home.worker.is_running()
    assert home.child() == child
