"""How soon a job starts, how often it is heard of, and how soon a cancelled one makes room."""

import random
import time
from itertools import pairwise
from statistics import median, quantiles
from typing import Any

from tests.benchmark.jobs.homes import FINAL, Home, Params, moment

# Short, but long enough to be seen running.
SHORT = Params(layer="conv1", filters="0", size=64, steps=40)
# So long that only a cancel ends it.
LIGHT = Params(layer="conv3", filters="0-7", size=96, steps=1000)
HEAVY = Params(layer="block3_conv1", filters="0-3", size=150, steps=1000)
LONG = {"shapes": LIGHT, "vgg16": HEAVY}


def warm_up(home: Home) -> None:
    """Load the networks and trace what will be asked, so that neither counts below."""
    home.finish(home.submit("shapes", SHORT))
    for model, params in LONG.items():
        home.finish(home.submit(model, Params(params.layer, params.filters, params.size, steps=2)))


def measure_start(home: Home, jobs: int) -> dict[str, Any]:
    """From POST to running, in milliseconds, by the record and as a client's stream shows it."""
    recorded, seen = [], []
    for _ in range(jobs):
        # The worker becomes idle, and no two jobs meet its habits at the same moment.
        time.sleep(random.uniform(0.05, 0.2))
        sent = time.time()
        job = home.submit("shapes", SHORT)
        running = [event.at for event in home.watch(job) if event.state not in (None, "queued")]
        described = home.get(job)
        recorded.append((moment(described, "started_at") - moment(described, "created_at")) * 1000)
        seen.append((running[0] - sent) * 1000)
    return {"jobs": jobs, "record_ms": spread(recorded), "client_ms": spread(seen)}


def measure_gap(home: Home, model: str, seconds: float) -> dict[str, Any]:
    """The longest silence of the stream while a job runs that long."""
    job = home.submit(model, LONG[model])
    heard: list[float] = []
    for event in home.watch(job):
        if event.name == "progress" or event.state == "running":
            heard.append(event.at)
        if heard and event.at - heard[0] > seconds and event.state is None:
            home.cancel(job)
            break
    home.finish(home.submit("shapes", SHORT))
    return {"seconds": heard[-1] - heard[0], "events": len(heard), "longest_gap_seconds": longest_gap(heard)}


def measure_cancel(home: Home, model: str, times: int) -> dict[str, Any]:
    """From the cancel of a running job until the next, which waits, has been claimed."""
    taken = []
    for _ in range(times):
        cancelled = home.submit(model, LONG[model])
        following = home.submit("shapes", SHORT)
        # The first share done tells that the ascent runs; then any moment of it.
        next(event for event in home.watch(cancelled) if event.name == "progress")
        time.sleep(random.uniform(0.0, 1.0))
        at = time.time()
        home.cancel(cancelled)
        taken.append(moment(home.finish(following), "started_at") - at)
        assert home.get(cancelled)["state"] in FINAL
    return {"times": times, "median_seconds": median(taken), "longest_seconds": max(taken)}


def longest_gap(times: list[float]) -> float:
    return max((after - before for before, after in pairwise(times)), default=0.0)


def spread(values: list[float]) -> dict[str, float]:
    cuts = quantiles(values, n=100, method="inclusive")
    return {"median": median(values), "p95": cuts[94], "p99": cuts[98], "longest": max(values)}
