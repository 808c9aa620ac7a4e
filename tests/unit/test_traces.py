"""The cache of traces: bounded, and each built once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from service.engine.keras.traces import Traces


def test_trace_is_built_once_when_many_threads_ask():
    traces, barrier = Traces(4), Barrier(8)

    def ask(_: int) -> object:
        barrier.wait(10)
        return traces.get("conv", object)

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(8)))
    assert len(answers) == traces.built == 1


def test_least_recently_used_is_dropped_when_the_cache_is_full():
    traces = Traces(2)
    first = traces.get("a", object)
    traces.get("b", object)
    assert traces.get("a", object) is first
    traces.get("c", object)
    assert traces.get("a", object) is first
    assert traces.built == 3
    traces.get("b", object)
    assert traces.built == 4


def test_next_one_tries_again_when_building_failed():
    traces = Traces(2)

    def fail() -> None:
        raise ValueError("no gradient")

    with pytest.raises(ValueError, match="no gradient"):
        traces.get("a", fail)
    assert traces.get("a", lambda: 5) == 5
