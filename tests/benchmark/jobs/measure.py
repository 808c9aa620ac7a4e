"""All that is measured of jobs, in both homes side by side, with the goal of each figure."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmark.jobs.homes import Home, open_embedded, open_redis
from tests.benchmark.jobs.interactive import measure_interactive
from tests.benchmark.jobs.latency import LONG, measure_cancel, measure_gap, measure_start, warm_up
from tests.benchmark.jobs.overhead import measure_overhead


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    starts: int = 40
    gap_seconds: float = 10
    cancels: int = 3
    job_rounds: int = 2
    job_seconds: float = 20
    requests: int = 200
    phases: int = 2


QUICK = Extent(starts=30, gap_seconds=4, cancels=2, job_seconds=4, requests=50)


def measure_jobs(extent: Extent, tell: Callable[[str], None]) -> dict[str, Any]:
    """About four minutes. `tell` is given the lines of a table as they come to be."""
    report: dict[str, Any] = {}
    tell("| jobs | embedded | Redis | goal |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        homes = [stack.enter_context(open_home(Path(folder))) for open_home in (open_embedded, open_redis)]
        for home in homes:
            warm_up(home)
        for name, goal, measure in _latencies(extent):
            report[name] = {home.name: measure(home) for home in homes}
            tell(f"| {name} | {' | '.join(_show(report[name][home.name]) for home in homes)} | {goal} |")
        overhead = report["overhead"] = measure_overhead(homes, extent.job_rounds, extent.job_seconds)
        tell(f"| longest silence, shapes | {' | '.join(_show(overhead[home.name]) for home in homes)} | 1 s |")
        shown = [_show_overhead(overhead[home.name]) for home in homes]
        tell(f"| a job of {extent.job_seconds:.0f} s over the same work called directly | {' | '.join(shown)} | 1.02 |")
        tell("\n| Grad-CAM over HTTP | alone, ms | beside an embedded job, ms | p99 / p99 | goal |")
        tell("| --- | --- | --- | --- | --- |")
        report["interactive"] = dict(_interactive(homes[0], extent, tell))
    return report


def _latencies(extent: Extent) -> Iterator[tuple[str, str, Callable[[Home], dict[str, Any]]]]:
    """What is measured, its goal, and how."""
    yield "submit to running", "100 ms", partial(measure_start, jobs=extent.starts)
    yield "longest silence, vgg16", "1 s", partial(measure_gap, model="vgg16", seconds=extent.gap_seconds)
    for model in LONG:
        yield f"cancel to the next claim, {model}", "2 s", partial(measure_cancel, model=model, times=extent.cancels)


def _interactive(home: Home, extent: Extent, tell: Callable[[str], None]) -> Iterator[tuple[str, dict[str, Any]]]:
    for model, beside in (("shapes", "shapes"), ("mobilenetv2", "vgg16")):
        numbers = measure_interactive(home, model, beside, requests=extent.requests, phases=extent.phases)
        alone, busy = (
            f"p50 {numbers[name]['median']:.1f}, p99 {numbers[name]['p99']:.1f}" for name in ("alone_ms", "beside_ms")
        )
        tell(f"| {model}, beside filters of {beside} | {alone} | {busy} | {numbers['p99_ratio']:.2f} | 2.5 |")
        yield f"{model} beside {beside}", numbers


def _show(numbers: dict[str, Any]) -> str:
    """What stands in the table of one row's numbers."""
    if "longest_gap_seconds" in numbers:
        return f"{numbers['longest_gap_seconds']:.2f} s"
    if "longest_seconds" in numbers:
        return f"{numbers['median_seconds']:.2f} s, at most {numbers['longest_seconds']:.2f} s"
    record, client = numbers["record_ms"], numbers["client_ms"]
    return (
        f"median {record['median']:.0f} ms, p95 {record['p95']:.0f} ms "
        f"(client {client['median']:.0f} ms, {client['p95']:.0f} ms)"
    )


def _show_overhead(numbers: dict[str, Any]) -> str:
    each = ", ".join(f"{ratio:.3f}" for ratio in numbers["over_direct"])
    outside = median(numbers["outside_engine_seconds"])
    return f"{numbers['median_over_direct']:.3f} ({each}); {outside:.2f} s outside the engine"
