"""The same job through the queue and called in this process, in turns: what the queue costs."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from service.engine import chunks
from service.engine.methods import METHODS
from service.engine.run import Request
from service.settings import Settings
from service.wiring import READINESS_MODEL, image_limits, job_limits, open_catalog
from tests.benchmark.jobs.homes import Home, Params, moment

# Six chunks of eight filters, and the one that combines them.
JOB = Params(layer="conv3", filters="0-47", size=96, steps=4)
WARM_UP_STEPS = 4


def measure_overhead(homes: Sequence[Home], rounds: int, seconds: float) -> dict[str, Any]:
    """`seconds` is about how long the job takes. Every second round goes backwards."""
    direct = _open_direct()
    ways: dict[str, Callable[[Params], float]] = {"direct": direct}
    ways |= {home.name: partial(_through, home) for home in homes}
    for way in ways.values():
        way(replace(JOB, steps=WARM_UP_STEPS))
    trial = replace(JOB, steps=10 * WARM_UP_STEPS)
    job = replace(JOB, steps=min(1000, max(1, round(trial.steps * seconds / direct(trial)))))
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: 1 if number % 2 == 0 else -1]:
            taken[name].append(ways[name](job))
    over = {
        home.name: [through / alone for through, alone in zip(taken[home.name], taken["direct"], strict=True)]
        for home in homes
    }
    return {
        "job": asdict(job),
        "seconds": taken,
        "over_direct": over,
        "median_over_direct": {name: median(ratios) for name, ratios in over.items()},
    }


def _open_direct() -> Callable[[Params], float]:
    settings = Settings(redis_url="")
    method = METHODS["filter-patterns"]
    model = open_catalog(settings).model(READINESS_MODEL)

    def run(params: Params) -> float:
        request = Request(method, method.params(**asdict(params)), None)
        started = perf_counter()
        chunks.run_all(model, request, image_limits(settings), job_limits(settings), lambda _: None)
        return perf_counter() - started

    return run


def _through(home: Home, params: Params) -> float:
    """From accepted to finished, by the record."""
    job = home.finish(home.submit(READINESS_MODEL, params))
    return moment(job, "finished_at") - moment(job, "created_at")
