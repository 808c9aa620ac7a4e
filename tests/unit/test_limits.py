"""The bounded executor: who runs, who waits, who is refused."""

import asyncio
from functools import partial
from threading import Event, current_thread

import pytest

from service.api.limits import BoundedExecutor
from service.errors import ServerBusyError


async def _fill(executor: BoundedExecutor, gate: Event, count: int) -> list[asyncio.Task[bool]]:
    tasks = [asyncio.create_task(executor.run(lambda: gate.wait(10))) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def test_requests_are_refused_when_all_places_are_taken():
    async def scenario() -> None:
        executor, gate = BoundedExecutor(running=1, waiting=2), Event()
        tasks = await _fill(executor, gate, 3)
        with pytest.raises(ServerBusyError, match="3 requests"):
            await executor.run(lambda: True)
        gate.set()
        assert await asyncio.gather(*tasks) == [True] * 3
        assert await executor.run(lambda: 7) == 7
        executor.close()

    asyncio.run(scenario())


def test_place_stays_taken_when_the_waiter_has_gone():
    async def scenario() -> None:
        executor, gate = BoundedExecutor(running=1, waiting=0), Event()
        (task,) = await _fill(executor, gate, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ServerBusyError):
            executor.require_room()
        gate.set()
        for _ in range(200):
            await asyncio.sleep(0.01)
            try:
                executor.require_room()
                break
            except ServerBusyError:
                continue
        executor.require_room()
        executor.close()

    asyncio.run(scenario())


def test_place_is_given_back_when_the_work_fails():
    def fail() -> None:
        raise ValueError("as expected")

    async def scenario() -> None:
        executor = BoundedExecutor(running=1, waiting=0)
        for _ in range(3):
            with pytest.raises(ValueError, match="as expected"):
                await executor.run(fail)
        assert (await executor.run(current_thread)) is not current_thread()
        executor.close()

    asyncio.run(scenario())


def test_lanes_take_turns_when_one_of_them_is_full():
    order: list[str] = []

    async def scenario() -> None:
        executor = BoundedExecutor(running=1, waiting=20)
        loud = [executor.run(partial(order.append, f"loud {number}"), lane="loud") for number in range(5)]
        quiet = [executor.run(partial(order.append, f"quiet {number}"), lane="quiet") for number in range(2)]
        await asyncio.gather(*loud, *quiet)
        executor.close()

    asyncio.run(scenario())
    assert order == ["loud 0", "loud 1", "quiet 0", "loud 2", "quiet 1", "loud 3", "loud 4"]
