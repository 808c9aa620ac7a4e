"""How bytes are counted between two measures, and when the next one is due."""

from collections.abc import Callable
from threading import Event, Thread

import pytest

from service.errors import StorageFullError
from service.jobs import quota
from service.jobs.quota import Quota


class Clock:
    """Stands where the test puts it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(quota, "monotonic", clock)
    return clock


def _quota(*measures: int, before: Callable[[], object] = lambda: None) -> tuple[Quota, list[int]]:
    left = list(measures)

    def measure() -> int:
        before()
        return left.pop(0)

    return Quota(100, measure, "full"), left


@pytest.mark.usefixtures("clock")
def test_nothing_is_measured_again_when_there_is_room_and_the_measure_is_young():
    bytes_of, left = _quota(10)
    for _ in range(9):
        bytes_of.take(10)
    assert left == []
    with pytest.raises(StorageFullError, match="full"):
        bytes_of.take(1)
    bytes_of.give(10)
    bytes_of.take(10)


def test_room_that_has_come_is_found_when_somebody_would_be_refused(clock: Clock):
    bytes_of, left = _quota(100, 30, 100)
    with pytest.raises(StorageFullError):
        bytes_of.take(1)
    clock.now += 6
    bytes_of.take(70)
    with pytest.raises(StorageFullError):
        bytes_of.take(1)
    # Whoever is refused again and again does not measure again and again.
    assert left == [100]


def test_what_others_add_is_seen_after_a_while(clock: Clock):
    bytes_of, left = _quota(0, 95)
    bytes_of.take(10)
    clock.now += 61
    with pytest.raises(StorageFullError):
        bytes_of.take(10)
    assert left == []


def test_measuring_takes_a_small_share_of_the_time_when_it_takes_long(clock: Clock):
    def take_long() -> None:
        clock.now += 30

    bytes_of, left = _quota(0, 0, 0, before=take_long)
    bytes_of.take(1)
    clock.now += 590
    bytes_of.take(1)
    assert left == [0, 0]
    clock.now += 20
    bytes_of.take(1)
    assert left == [0]
    clock.now += 350
    bytes_of.renew_early()
    assert left == []


def test_nobody_waits_for_another_measure_and_nothing_is_lost_meanwhile():
    measuring, go = Event(), Event()

    def wait() -> None:
        if not is_first:
            measuring.set()
            assert go.wait(10)

    bytes_of, _ = _quota(0, 50, before=wait)
    is_first = True
    bytes_of.take(10)
    is_first = False
    thread = Thread(target=bytes_of.renew)
    thread.start()
    assert measuring.wait(10)
    bytes_of.take(20)
    bytes_of.renew()
    go.set()
    thread.join()
    bytes_of.take(30)
    with pytest.raises(StorageFullError):
        bytes_of.take(1)
