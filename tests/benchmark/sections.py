"""The sections of the benchmark, by name: each adds its rows to the table, or reports by itself."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmark.arithmetic import measure_rates
from tests.benchmark.datasets import measure_datasets
from tests.benchmark.endurance import measure_endurance
from tests.benchmark.engine import measure_engine
from tests.benchmark.grid import measure_grid
from tests.benchmark.jobs.measure import QUICK, Extent, measure_jobs
from tests.benchmark.others import measure_others
from tests.benchmark.over_http import measure_http
from tests.benchmark.page import measure_page
from tests.benchmark.patterns import measure_patterns
from tests.benchmark.rows import Table


@dataclass(frozen=True)
class Choice:
    """What the command line says."""

    networks: list[str]
    test_data: Path
    rounds: int
    requests: int
    job_seconds: float
    quick: bool


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _engine(table: Table, choice: Choice) -> None:
    measure_engine(table, choice.networks, choice.test_data, choice.rounds)


def _others(table: Table, choice: Choice) -> None:
    measure_others(table, choice.networks, choice.test_data, choice.rounds)


def _http(table: Table, choice: Choice) -> None:
    requests, phases = (64, 1) if choice.quick else (512, 3)
    measure_http(table, choice.test_data, 4 * choice.rounds, requests, phases)


def _patterns(table: Table, choice: Choice) -> None:
    rounds, steps = (1, 4) if choice.quick else (3, 40)
    measure_patterns(table, choice.test_data, rounds, steps)


def _rates(table: Table, choice: Choice) -> None:
    measure_rates(table, choice.test_data, 1 if choice.quick else 3)


def _grid(table: Table, choice: Choice) -> None:
    measure_grid(table, choice.rounds)


def _datasets(table: Table, choice: Choice) -> None:
    networks = [name for name in choice.networks if name in ("mobilenetv2", "resnet50")]
    rounds, count = (1, 16) if choice.quick else (3, 250)
    measure_datasets(table, networks, choice.test_data, rounds, count)


def _endurance(table: Table, choice: Choice) -> None:
    measure_endurance(table, choice.test_data, choice.requests)


def _jobs(_: Table, choice: Choice) -> Any:
    tell("\n## Jobs\n")
    return measure_jobs(QUICK if choice.quick else Extent(job_seconds=choice.job_seconds), tell)


def _page(_: Table, choice: Choice) -> Any:
    tell("\n## The page\n")
    numbers = measure_page(choice.rounds)
    for name, what in (("photo", "a photo is dropped"), ("class", "a class is pressed")):
        times = numbers[f"{name}_to_heat_map_ms"]
        tell(f"page: heat map {times['median']:.0f} ms after {what} (p95 {times['p95']:.0f} ms)")
    return numbers


# Endurance first: what others leave in memory would hide a leak in its ratio.
SECTIONS: dict[str, Callable[[Table, Choice], Any]] = {
    "endurance": _endurance,
    "engine": _engine,
    "peers": _others,
    "http": _http,
    "patterns": _patterns,
    "rates": _rates,
    "grid": _grid,
    "datasets": _datasets,
    "jobs": _jobs,
    "page": _page,
}
