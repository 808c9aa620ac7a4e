"""The bounded executor: who runs, who waits, who is refused."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from threading import Event, current_thread

import pytest

from service.api.requests.executor import BoundedExecutor, Waiter
from service.errors import ClientGoneError, ServerBusyError


async def _fill(executor: BoundedExecutor, gate: Event, count: int) -> list[asyncio.Task[bool]]:
    tasks = [asyncio.create_task(executor.run(lambda: gate.wait(10))) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def _never() -> None:
    await asyncio.Event().wait()


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


def test_what_has_not_begun_is_dropped_when_its_waiter_is_cancelled():
    begun: list[int] = []

    async def scenario() -> None:
        executor, gate = BoundedExecutor(running=1, waiting=2), Event()
        (first,) = await _fill(executor, gate, 1)
        other = Waiter(lane="other")
        others = [asyncio.create_task(executor.run(partial(begun.append, number), other)) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ServerBusyError):
            executor.require_room()
        others[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await others[0]
        # At once, while the first still runs.
        executor.require_room()
        gate.set()
        await asyncio.gather(first, others[1])
        executor.close()

    asyncio.run(scenario())
    assert begun == [1]


def test_what_has_not_begun_is_dropped_when_its_client_leaves():
    begun: list[str] = []

    async def scenario() -> None:
        executor, gate, left = BoundedExecutor(running=1, waiting=2), Event(), asyncio.Event()
        abandoned, ended, last = Event(), list[str](), asyncio.Event()

        async def departure() -> None:
            await left.wait()

        def work() -> None:
            begun.append("first")
            gate.wait(10)

        def end() -> None:
            ended.append("one")
            if len(ended) == 3:
                last.set()

        waiter = Waiter(departure=departure, abandon=abandoned.set, ended=end)
        tasks = [asyncio.create_task(executor.run(work, waiter)) for _ in range(3)]
        await asyncio.sleep(0.01)
        left.set()
        for task in tasks:
            with pytest.raises(ClientGoneError):
                await task
        # What has begun is told so, and keeps its place until it has ended.
        assert abandoned.is_set()
        await asyncio.sleep(0)
        assert (executor.running, executor.waiting, len(ended)) == (1, 0, 2)
        gate.set()
        async with asyncio.timeout(10):
            await last.wait()
        assert (executor.running, len(ended)) == (0, 3)
        executor.close()

    asyncio.run(scenario())
    assert begun == ["first"]


def test_answer_comes_when_its_client_waits_for_it():
    async def scenario() -> None:
        executor, gate = BoundedExecutor(running=1, waiting=2), Event()
        (first,) = await _fill(executor, gate, 1)
        second = asyncio.create_task(executor.run(lambda: 7, Waiter(departure=_never)))
        await asyncio.sleep(0.01)
        gate.set()
        assert (await first, await second) == (True, 7)
        assert len(asyncio.all_tasks()) == 1, "nobody looks any more whether the client leaves"
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
        loud = [executor.run(partial(order.append, f"loud {number}"), Waiter(lane="loud")) for number in range(5)]
        quiet = [executor.run(partial(order.append, f"quiet {number}"), Waiter(lane="quiet")) for number in range(2)]
        await asyncio.gather(*loud, *quiet)
        executor.close()

    asyncio.run(scenario())
    assert order == ["loud 0", "loud 1", "quiet 0", "loud 2", "quiet 1", "loud 3", "loud 4"]


def test_owners_take_turns_before_their_models_do():
    order: list[str] = []

    async def scenario() -> None:
        executor = BoundedExecutor(running=1, waiting=20)

        def call(owner: str, model: str, number: int) -> Coroutine[None, None, None]:
            return executor.run(partial(order.append, f"{owner} {model} {number}"), Waiter(owner, model))

        many = [call("many", f"m{model}", number) for model in range(3) for number in range(2)]
        one = [call("one", "m0", number) for number in range(3)]
        await asyncio.gather(*many, *one)
        executor.close()

    asyncio.run(scenario())
    assert [line.split()[0] for line in order[:6]] == ["many", "many", "one", "many", "one", "many"]
    assert [line for line in order if line.startswith("many")] == [
        "many m0 0", "many m0 1", "many m1 0", "many m2 0", "many m1 1", "many m2 1"
    ]  # fmt: skip
