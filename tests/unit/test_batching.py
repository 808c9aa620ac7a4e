"""Merging concurrent calls: what is computed together, who waits for whom, and what an error costs."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event, Lock
from time import monotonic, sleep

import pytest

from service.engine.allowance import Allowance
from service.engine.batching import BatchingProbe, DynamicBatcher
from service.engine.ports.probe import BatchProbe
from service.errors import ClassOutOfRangeError, ClientGoneError, ServerBusyError
from tests.unit.fakes import BatchingClosedFormProbe, image_of

PATIENCE_SECONDS = 10


class Desk:
    """A computation that notes its batches, and holds the first until it is told to go on."""

    def __init__(self) -> None:
        self.go_on = Event()
        self.begun = Event()
        self.batches: list[list[str]] = []
        self.lock = Lock()

    def compute(self, items: Sequence[str]) -> list[str]:
        with self.lock:
            self.batches.append(list(items))
        self.begun.set()
        assert self.go_on.wait(PATIENCE_SECONDS)
        if "bad" in items:
            raise ValueError("bad")
        return [item.upper() for item in items]


class Watcher:
    """An Observer that keeps what it is told of batches."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int, int]] = []

    def batch(self, model: str, size: int, waited_seconds: Sequence[float], compute_seconds: float) -> None:
        assert compute_seconds >= 0
        self.batches.append((model, size, len(waited_seconds)))

    def cache(self, name: str, hit: bool) -> None:  # noqa: FBT001
        raise AssertionError

    def cache_bytes(self, name: str, bytes: int) -> None:  # noqa: A002
        raise AssertionError


def _until(condition: Callable[[], bool]) -> None:
    end = monotonic() + PATIENCE_SECONDS
    while not condition():
        assert monotonic() < end, "it never came to be"
        sleep(0.001)


def _waits(device: DynamicBatcher, count: int) -> bool:
    return device.waiting == count


def _ask(
    pool: ThreadPoolExecutor, device: DynamicBatcher, desk: Desk, asked: Sequence[tuple[str, str, str]]
) -> list[Future[str]]:
    """Ask (model, key, item) one after the other; the first is being computed before the second is asked."""
    futures = []
    for place, (model, key, item) in enumerate(asked):
        futures.append(pool.submit(device.compute, model, key, item, desk.compute))
        if place == 0:
            assert desk.begun.wait(PATIENCE_SECONDS)
        _until(partial(_waits, device, place))
    return futures


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as threads:
        yield threads


def test_call_computes_on_its_own_thread_when_the_device_is_free():
    desk = Desk()
    desk.go_on.set()
    assert DynamicBatcher(max_batch=8, max_waiting=0).compute("m", "k", "a", desk.compute) == "A"
    assert desk.batches == [["a"]]


def test_all_that_waits_is_merged_when_the_device_gets_free(pool: ThreadPoolExecutor):
    desk, watcher = Desk(), Watcher()
    device = DynamicBatcher(max_batch=8, max_waiting=64, observer=watcher)
    futures = _ask(pool, device, desk, [("m", "k", letter) for letter in "abcd"])
    desk.go_on.set()
    assert [future.result() for future in futures] == ["A", "B", "C", "D"]
    assert desk.batches == [["a"], ["b", "c", "d"]]
    assert watcher.batches == [("m", 1, 1), ("m", 3, 3)]


def test_batch_is_bounded_and_other_keys_wait_their_turn(pool: ThreadPoolExecutor):
    desk = Desk()
    device = DynamicBatcher(max_batch=2, max_waiting=64)
    asked = [("m", "k", "a"), ("m", "k", "b"), ("m", "x", "c"), ("m", "k", "d"), ("m", "k", "e")]
    futures = _ask(pool, device, desk, asked)
    desk.go_on.set()
    assert [future.result() for future in futures] == ["A", "B", "C", "D", "E"]
    assert desk.batches == [["a"], ["b", "d"], ["c"], ["e"]]


def test_models_take_turns_when_one_of_them_floods_the_device(pool: ThreadPoolExecutor):
    desk = Desk()
    device = DynamicBatcher(max_batch=2, max_waiting=64)
    asked = [("loud", "k", letter) for letter in "abcdef"] + [("quiet", "k", "q")]
    futures = _ask(pool, device, desk, asked)
    desk.go_on.set()
    assert futures[-1].result() == "Q"
    assert [future.result() for future in futures[:-1]] == list("ABCDEF")
    # One batch of the model that came first, then the other's.
    assert desk.batches.index(["q"]) == 2


def test_only_the_bad_item_fails_when_a_batch_fails(pool: ThreadPoolExecutor):
    desk, watcher = Desk(), Watcher()
    device = DynamicBatcher(max_batch=8, max_waiting=64, observer=watcher)
    futures = _ask(pool, device, desk, [("m", "k", item) for item in ("a", "b", "bad", "c")])
    desk.go_on.set()
    assert [futures[place].result() for place in (0, 1, 3)] == ["A", "B", "C"]
    with pytest.raises(ValueError, match="bad"):
        futures[2].result()
    assert desk.batches[1:] == [["b", "bad", "c"], ["b"], ["bad"], ["c"]]
    assert device.waiting == 0


def test_call_is_refused_when_too_many_wait(pool: ThreadPoolExecutor):
    desk = Desk()
    device = DynamicBatcher(max_batch=8, max_waiting=2)
    futures = _ask(pool, device, desk, [("m", "k", letter) for letter in "abc"])
    with pytest.raises(ServerBusyError):
        device.compute("m", "k", "d", desk.compute)
    desk.go_on.set()
    assert [future.result() for future in futures] == ["A", "B", "C"]


def test_device_serves_again_when_a_call_has_failed():
    desk = Desk()
    desk.go_on.set()
    device = DynamicBatcher(max_batch=8, max_waiting=0)
    with pytest.raises(ValueError, match="bad"):
        device.compute("m", "k", "bad", desk.compute)
    assert device.compute("m", "k", "a", desk.compute) == "A"


def test_none_is_lost_when_many_threads_ask_at_once(pool: ThreadPoolExecutor):
    device = DynamicBatcher(max_batch=4, max_waiting=10_000)

    def compute(items: Sequence[int]) -> list[int]:
        assert len(items) <= 4
        sleep(0.0005)
        return [item * item for item in items]

    asked = [(f"m{number % 3}", number % 2, number) for number in range(600)]
    futures = [pool.submit(device.compute, model, key, item, compute) for model, key, item in asked]
    assert [future.result(PATIENCE_SECONDS) for future in futures] == [number * number for number in range(600)]
    assert device.waiting == 0


def test_probe_answers_as_the_one_inside_when_asked_alone_and_together(pool: ThreadPoolExecutor):
    inner = BatchingClosedFormProbe([[1, 0], [0, 1], [0, 0]])
    assert isinstance(inner, BatchProbe)
    probe = BatchingProbe(inner, DynamicBatcher(max_batch=8, max_waiting=64), "closed")
    images = [image_of(number) for number in range(12)]
    answers = list(pool.map(lambda image: probe.activations_and_gradients(image, class_index=1), images))
    for image, answer in zip(images, answers, strict=True):
        expected = inner.activations_and_gradients(image, class_index=1)
        assert answer.target == expected.target
        assert (answer.activations == image).all()
    scores = list(pool.map(probe.scores, images))
    assert [score.top for score in scores] == [inner.scores(image).top for image in images]


def test_wrong_class_is_refused_before_it_joins_a_batch():
    inner = BatchingClosedFormProbe([[1, 0], [0, 1], [0, 0]])
    probe = BatchingProbe(inner, DynamicBatcher(max_batch=8, max_waiting=64), "closed")
    with pytest.raises(ClassOutOfRangeError):
        probe.activations_and_gradients(image_of(1), class_index=7)
    assert inner.batches == []


def test_call_is_dropped_when_nobody_waits_for_it_any_more() -> None:
    batcher, desk, left = DynamicBatcher(max_batch=8, max_waiting=8), Desk(), Event()

    def ask(item: str, is_abandoned: Callable[[], bool]) -> object:
        with Allowance(is_abandoned=is_abandoned):
            return batcher.compute("m", "k", item, desk.compute)

    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(ask, "first", left.is_set)
        assert desk.begun.wait(PATIENCE_SECONDS)
        gone = threads.submit(ask, "gone", left.is_set)
        stays = threads.submit(ask, "stays", lambda: False)
        _until(partial(_waits, batcher, 2))
        left.set()
        desk.go_on.set()
        assert stays.result(PATIENCE_SECONDS) == "STAYS"
        with pytest.raises(ClientGoneError):
            gone.result(PATIENCE_SECONDS)
        # What was being computed comes to its end.
        assert first.result(PATIENCE_SECONDS) == "FIRST"
    assert desk.batches == [["first"], ["stays"]]
    assert batcher.waiting == 0
