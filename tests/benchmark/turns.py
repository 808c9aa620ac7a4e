"""Ways of doing the same thing, measured in turns: whatever else the machine does slows all of them alike."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import TypeVar

T = TypeVar("T")
# Does its work once on what it makes of a number, new each time, and says how many milliseconds the work took.
Contender = Callable[[int], float]
Times = dict[str, list[float]]


def timed(work: Callable[[T], object], prepare: Callable[[int], T]) -> Contender:
    """What `prepare` makes of the number costs nothing."""

    def run(number: int) -> float:
        given = prepare(number)
        started = time.perf_counter()
        work(given)
        return (time.perf_counter() - started) * 1000

    return run


def take_turns(
    contenders: Mapping[str, Contender],
    rounds: int,
    *,
    warm_up: int = 2,
    seldom: Mapping[str, int] | None = None,
    pause_seconds: float = 0.0,
) -> Times:
    """Every second round goes backwards; those named in `seldom` take part in every so many rounds.

    `pause_seconds` before each lets the threads of the one before, which may be another process's, fall asleep.
    """
    taken: Times = {name: [] for name in contenders}
    for number in range(-warm_up, rounds):
        for name in list(contenders)[:: 1 if number % 2 == 0 else -1]:
            if number > 0 and number % (seldom or {}).get(name, 1):
                continue
            time.sleep(pause_seconds)
            milliseconds = contenders[name](number + warm_up)
            if number >= 0:
                taken[name].append(milliseconds)
    return taken


def medians(taken: Times) -> dict[str, float]:
    return {name: median(times) for name, times in taken.items()}
