"""The same job through the queue and called in this process, in turns: what the queue costs."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

from service.composition.limits import image_limits, job_limits
from service.composition.models import READINESS_MODEL, open_catalog
from service.engine import chunks
from service.engine.methods import METHODS
from service.engine.running.request import Request
from service.settings import Settings
from tests.benchmark.jobs.homes import Home, Params, moment
from tests.benchmark.jobs.latency import longest_gap

# Six chunks of eight filters, and the one that combines them.
JOB = Params(layer="conv3", filters="0-47", size=96, steps=4)
WARM_UP_STEPS = 4


@dataclass(frozen=True)
class Taken:
    """Seconds of one job: in all, those that the engine itself has counted, and the longest silence of its stream."""

    total: float
    engine: float
    silence: float = 0.0


def measure_overhead(homes: Sequence[Home], rounds: int, seconds: float) -> dict[str, Any]:
    """`seconds` is about how long the job takes. Every second round goes backwards."""
    direct = _open_direct()
    ways: dict[str, Callable[[Params], Taken]] = {"direct": direct}
    ways |= {home.name: partial(_through, home) for home in homes}
    for way in ways.values():
        way(replace(JOB, steps=WARM_UP_STEPS))
    trial = replace(JOB, steps=5 * WARM_UP_STEPS)
    job = replace(JOB, steps=min(1000, max(1, round(trial.steps * seconds / direct(trial).total))))
    taken: dict[str, list[Taken]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: 1 if number % 2 == 0 else -1]:
            taken[name].append(ways[name](job))
    return {"job": asdict(job), "direct_seconds": [each.total for each in taken["direct"]]} | {
        home.name: _compare(taken[home.name], taken["direct"]) for home in homes
    }


def _compare(queued: list[Taken], direct: list[Taken]) -> dict[str, Any]:
    ratios = [through.total / alone.total for through, alone in zip(queued, direct, strict=True)]
    return {
        "seconds": [each.total for each in queued],
        "over_direct": ratios,
        "median_over_direct": median(ratios),
        # Depends far less on what else the machine does than a ratio of two long times.
        "outside_engine_seconds": [each.total - each.engine for each in queued],
        "longest_gap_seconds": max(each.silence for each in queued),
    }


def _open_direct() -> Callable[[Params], Taken]:
    settings = Settings(redis_url="")
    method = METHODS["filter-patterns"]
    model = open_catalog(settings).model(READINESS_MODEL)

    def run(params: Params) -> Taken:
        request = Request(method, method.params(**asdict(params)), None)
        started = perf_counter()
        result = chunks.run_all(model, request, image_limits(settings), job_limits(settings), lambda _: None)
        return Taken(perf_counter() - started, sum(result.timings_seconds.model_dump().values()))

    return run


def _through(home: Home, params: Params) -> Taken:
    """From accepted to finished, by the record."""
    sent = home.submit(READINESS_MODEL, params)
    heard = [event.at for event in home.watch(sent) if event.name == "progress" or event.state == "running"]
    job = home.get(sent)
    assert job["state"] == "succeeded", job
    return Taken(
        moment(job, "finished_at") - moment(job, "created_at"),
        sum(job["result"]["timings_seconds"].values()),
        longest_gap(heard),
    )
