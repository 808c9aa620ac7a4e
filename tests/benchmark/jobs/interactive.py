"""Grad-CAM over HTTP with no job and beside one in the embedded worker, in turns."""

import time
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

from tests.benchmark.jobs.homes import Home
from tests.benchmark.jobs.latency import LONG, SHORT, spread
from tests.benchmark.pictures import jpeg

WARM_UP = 10
SIDE = 256


def measure_interactive(home: Home, model: str, beside: str, *, requests: int, phases: int) -> dict[str, Any]:
    """`phases` of each kind, of so many requests; times are milliseconds. `beside` is the model of the job."""
    # Each a new one, as the service remembers those it has seen.
    seeds = count()
    _ask(home, model, seeds, WARM_UP)
    alone: list[float] = []
    busy: list[float] = []
    for _ in range(phases):
        alone += _ask(home, model, seeds, requests)
        job = home.submit(beside, LONG[beside])
        next(event for event in home.watch(job) if event.name == "progress")
        busy += _ask(home, model, seeds, requests)
        assert home.get(job)["state"] == "running", "the job is shorter than the requests beside it"
        home.cancel(job)
        # Until the worker has let go.
        home.finish(home.submit("shapes", SHORT))
    without, beside_job = spread(alone), spread(busy)
    return {
        "requests": len(alone),
        "alone_ms": without,
        "beside_ms": beside_job,
        "p99_ratio": beside_job["p99"] / without["p99"],
    }


def _ask(home: Home, model: str, seeds: Iterator[int], times: int) -> list[float]:
    taken = []
    for seed in islice(seeds, times):
        picture = jpeg(seed, SIDE)
        started = time.perf_counter()
        response = home.client.post(f"/v1/models/{model}/grad-cam", files={"image": ("scene.jpg", picture)})
        taken.append((time.perf_counter() - started) * 1000)
        assert response.status_code == 200, response.text
    return taken
