"""Fault 13: hundreds of jobs. Memory and traces stop growing, and what has expired is gone, pictures and all."""

import os
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.contract.conftest import assert_problem
from tests.integration.faults.home import Home, memory, open_redis_home
from tests.integration.faults.scenario import quick, wait_until

# `make chaos` takes more.
JOBS = int(os.environ.get("PLATEAU_JOBS", "250"))
# From here on everything has been seen once.
WARM = 100
BATCH = 25
# What malloc and TensorFlow keep of a busy hour differs; a leak of a picture per job would not fit.
MAX_GROWTH = 1.15
SHAPES = list(product(("conv1", "conv2", "conv3"), (16, 24)))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Keeps its jobs for seconds."""
    folder = tmp_path_factory.mktemp("plateau")
    with open_redis_home(folder, services=1, CONVSCOPE_JOBS__RESULT_SECONDS="5") as home:
        yield home


def compute(home: Home, numbers: range) -> list[str]:
    """Jobs of all shapes in turn, all sent before the first is waited for."""
    jobs = []
    for number in numbers:
        layer, size = SHAPES[number % len(SHAPES)]
        jobs.append(home.witness.submit(quick(layer=layer, size=size, filters="0-1", steps=2)))
    waiting = list(jobs)
    while waiting:
        # Every one is looked at long before it expires.
        waiting = [job for job in waiting if not _is_done(home, job)]
    return jobs


def _is_done(home: Home, job: str) -> bool:
    seen = home.witness.look(job)
    assert seen["state"] in ("queued", "running", "succeeded"), seen
    return bool(seen["state"] == "succeeded")


def count_traces(log: str) -> int:
    return len(re.findall(r"trace \d+ of a model built", log))


def test_memory_and_traces_reach_a_plateau_when_many_jobs_are_computed(home: Home) -> None:
    before = count_traces(home.worker.log())
    jobs, child = compute(home, range(BATCH)), home.child()
    for start in range(BATCH, WARM, BATCH):
        jobs += compute(home, range(start, start + BATCH))
    warm = [memory(child), memory(home.servers[0].pid)]
    for start in range(WARM, JOBS, BATCH):
        jobs += compute(home, range(start, start + BATCH))
    assert home.child() == child
    end = [memory(child), memory(home.servers[0].pid)]
    assert [after / then < MAX_GROWTH for then, after in zip(warm, end, strict=True)] == [True, True], (warm, end)
    assert len(set(jobs)) == JOBS
    # One each to see whether the canvas suits the layer, one for the ascent.
    assert count_traces(home.worker.log()) - before == 2 * len(SHAPES)
    wait_until(lambda: not list((home.artifacts / "results").iterdir()), "all pictures are removed")
    assert home.redis is not None
    for keys in ("convscope:job:*", "convscope:parts:*", "convscope:hold:*", "convscope:duplicate:*"):
        assert home.redis.command("KEYS", keys).split("\r\n")[0] == "*0"
    assert home.client.get("/v1/jobs").json()["jobs"] == []


def test_job_is_gone_and_later_forgotten_when_its_time_is_over(home: Home) -> None:
    job = home.witness.submit(quick())
    home.witness.assert_succeeded(job)
    (picture, *_) = home.witness.look(job)["result"]["images"]
    routes = [f"/v1/jobs/{job}", picture["href"], f"/v1/jobs/{job}/events"]
    wait_until(lambda: home.client.get(routes[0]).status_code == 410, "the job expires")
    for route in routes:
        assert_problem(home.client.get(route), 410, "job_expired", job)
    assert_problem(home.cancel(job), 410, "job_expired", job)
    wait_until(lambda: not _folder(home, job).exists(), "its pictures are removed")
    # A week passes.
    home.ask("PEXPIRE", f"convscope:gone:{job}", "1")
    wait_until(lambda: home.client.get(routes[0]).status_code == 404, "the job is forgotten")
    for route in routes:
        assert_problem(home.client.get(route), 404, "job_not_found", job)


def _folder(home: Home, job: str) -> Path:
    return home.artifacts / "results" / job
