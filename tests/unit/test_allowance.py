"""What a request may take: memory from one budget, and time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.engine.allowance import FREE, Allowance, Memory
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.methods import METHODS
from service.engine.running.request import Request
from service.engine.running.run import run
from service.errors import DeadlineExceededError, ImageTooManyPixelsError, ServerBusyError
from tests.unit.fakes import closed_form_model
from tests.unit.test_run import WEIGHTS, a_photo

LIMITS = ImageLimits(max_bytes=2**20, max_pixels=10**6)


def _request(allowance: Allowance) -> Request:
    method = METHODS["grad-cam"]
    return Request(method, method.params(), ImageFile(a_photo()), allowance=allowance)


def test_memory_comes_back_when_the_work_ends_or_fails():
    memory = Memory(100)
    with Allowance(memory=memory) as allowance:
        allowance.reserve(60)
        allowance.reserve(40)
        assert memory.taken == 60
        allowance.reserve(90)
        assert memory.taken == 90
        with pytest.raises(ServerBusyError), Allowance(memory=memory) as other:
            other.reserve(20)
        assert memory.taken == 90
    assert memory.taken == 0


def test_what_never_fits_is_refused_for_good_when_it_is_asked_for():
    with pytest.raises(ImageTooManyPixelsError, match="all requests have 1 MB together: send a smaller"):
        Allowance(memory=Memory(2**20)).reserve(2**21)


def test_others_wait_for_memory_when_some_comes_back_soon():
    memory = Memory(100, waiting=1, patience_seconds=30)
    first = Allowance(memory=memory)
    first.reserve(80)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(memory.take, 50)
        while memory._waiting:
            time.sleep(0.001)
        # One place to wait, and it is taken: who needs little goes on, who needs much is told at once.
        memory.take(20)
        with pytest.raises(ServerBusyError):
            memory.take(50)
        assert not waiting.done()
        first.__exit__()
        waiting.result(10)
    assert memory.taken == 70


def test_waiting_ends_when_no_memory_comes_back():
    memory = Memory(100, waiting=1, patience_seconds=0.05)
    memory.take(80)
    for _ in range(2):
        with pytest.raises(ServerBusyError):
            memory.take(50)


def test_memory_is_never_more_than_there_is_when_many_take_it():
    memory, most, lock = Memory(100, waiting=8, patience_seconds=30), 0, threading.Lock()

    def work(number: int) -> None:
        nonlocal most
        with Allowance(memory=memory) as allowance:
            allowance.reserve(20 + number)
            with lock:
                most = max(most, memory.taken)
            time.sleep(0.001)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(40)))
    assert 20 <= most <= 100
    assert memory.taken == 0


def test_picture_is_reserved_for_when_a_result_is_computed():
    memory = Memory(10**9)
    with Allowance(memory=memory) as allowance:
        run(closed_form_model(WEIGHTS), _request(allowance), LIMITS)
        # 30 x 20 pixels.
        assert 600 * 11 < memory.taken < 600 * 50
    assert memory.taken == 0
    with pytest.raises(ImageTooManyPixelsError):
        run(closed_form_model(WEIGHTS), _request(Allowance(memory=Memory(600))), LIMITS)


def test_work_is_given_up_between_steps_when_its_time_is_over():
    with pytest.raises(DeadlineExceededError, match="1e-09 seconds"):
        run(closed_form_model(WEIGHTS), _request(Allowance(seconds=1e-9)), LIMITS)
    run(closed_form_model(WEIGHTS), _request(Allowance(seconds=60)), LIMITS)
    FREE.check()
    FREE.reserve(10**18)
