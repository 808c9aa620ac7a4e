"""The cache of traces: bounded, and each built once."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest

from service.keras.compute.traces import KERNEL_COPIES, OPERATION_BYTES, Built, Traces


def _build(size: int = 0) -> Built[object]:
    return Built(object(), size)


def test_trace_is_built_once_when_many_threads_ask():
    traces, barrier = Traces(4), Barrier(8)

    def ask(_: int) -> object:
        barrier.wait(10)
        return traces.get("conv", _build)

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(8)))
    assert len(answers) == traces.built == 1


def test_least_recently_used_is_dropped_when_the_cache_is_full():
    traces = Traces(2)
    first = traces.get("a", _build)
    traces.get("b", _build)
    assert traces.get("a", _build) is first
    traces.get("c", _build)
    assert traces.get("a", _build) is first
    assert traces.built == 3
    traces.get("b", _build)
    assert traces.built == 4


def test_next_one_tries_again_when_building_failed():
    traces = Traces(2)

    def fail() -> Built[object]:
        raise ValueError("no gradient")

    with pytest.raises(ValueError, match="no gradient"):
        traces.get("a", fail)
    assert traces.get("a", lambda: Built(5)) == 5


def test_oldest_weights_are_dropped_when_they_take_too_many_bytes():
    traces = Traces(10, max_bytes=100)
    for name in "abc":
        traces.get(name, partial(_build, 40))
    light = traces.get("d", _build)
    assert traces.bytes == 80
    traces.get("b", _build)
    traces.get("e", partial(_build, 20))
    assert (traces.bytes, traces.built) == (100, 5)
    traces.get("f", partial(_build, 1000))
    assert traces.bytes == 1000, "the newest stays, whatever its size"
    assert traces.get("d", _build) is light
    traces.clear()
    assert traces.bytes == 0


def test_what_traces_take_is_counted_by_operations_and_copies_of_kernels():
    traces = Traces(10)
    traces.get("a", lambda: Built(object(), 1000, 7))
    traces.get("b", lambda: Built(object(), 0, 3))
    assert traces.held_bytes == 10 * OPERATION_BYTES + 1000 * KERNEL_COPIES
    traces.clear()
    assert traces.held_bytes == 0


def test_oldest_are_dropped_when_all_of_them_take_too_much():
    traces = Traces(10, max_held_bytes=5 * OPERATION_BYTES)
    for name in "abc":
        traces.get(name, lambda: Built(object(), 0, 2))
    assert traces.held_bytes == 4 * OPERATION_BYTES
    traces.get("b", _build)
    assert traces.built == 3
    traces.get("a", lambda: Built(object(), 0, 100))
    assert (traces.built, traces.held_bytes) == (4, 100 * OPERATION_BYTES), "the newest stays, whatever it takes"
