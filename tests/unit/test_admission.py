"""Who is let in, what is held for it, and that all of it is given back, however a request ends."""

import asyncio
import random
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest

from service.api.access.callers import ANYONE, Caller
from service.api.requests.admission import Admission, AdmissionLimits, BodyMemoryError, OwnerBusyError
from service.api.requests.entries import Entry
from service.api.requests.uploads import BodyTimeoutError
from service.errors import ServerBusyError

MEGABYTE = 2**20
LIMITS = {"running": 16, "waiting": 64, "body_bytes": 64 * MEGABYTE, "seconds": 0.2, "rate": 1e6, "at_a_time": 3}


def _admission(**limits: Any) -> Admission:
    return Admission(AdmissionLimits(**(LIMITS | limits)))


def _run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


class _Client:
    """ASGI's receive: what is put there, in order."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def send(self, body: bytes, *, more: bool) -> None:
        self._messages.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def leave(self) -> None:
        self._messages.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> dict[str, Any]:
        return await self._messages.get()


def _is_empty(admission: Admission) -> bool:
    return (admission.present, admission.taken_bytes, admission.reading) == (0, 0, 0)


def test_an_owner_is_held_to_few_when_more_come_than_are_answered_in_time() -> None:
    async def scenario() -> None:
        admission, others = _admission(), Caller("others", "use")
        # 0.1 s between two answers.
        entries = [admission.enter(ANYONE) for _ in range(3)]
        for entry in entries:
            entry.lend()()
            await asyncio.sleep(0.1)
        for entry in entries:
            entry.close()
        entries = [admission.enter(ANYONE) for _ in range(16)]
        with pytest.raises(ServerBusyError, match="16 requests"):
            admission.enter(ANYONE)
        for entry in entries[2:]:
            entry.close()
        with pytest.raises(ServerBusyError, match="2 requests"):
            admission.enter(ANYONE)
        # Others are not.
        entries += [admission.enter(others) for _ in range(3)]
        await asyncio.sleep(1.1)
        entries.append(admission.enter(ANYONE))
        for entry in [*entries[:2], *entries[16:]]:
            entry.close()
        assert _is_empty(admission)

    _run(scenario())


def test_request_is_refused_when_its_owner_has_as_many_open_as_it_may() -> None:
    async def scenario() -> None:
        admission = _admission()
        some, more = Caller("some", "use"), Caller("more", "use", {"requests_at_a_time": 4})
        entries = [admission.enter(some) for _ in range(3)] + [admission.enter(more) for _ in range(4)]
        for caller in (some, more):
            with pytest.raises(OwnerBusyError, match="wait for one"):
                admission.enter(caller)
        entries.pop(0).close()
        entries.append(admission.enter(some))
        for entry in entries:
            entry.close()
        assert _is_empty(admission)

    _run(scenario())


def test_body_is_refused_when_the_memory_is_held_and_large_ones_leave_a_quarter() -> None:
    async def scenario() -> None:
        admission = _admission()
        entries = [admission.enter(ANYONE, 12 * MEGABYTE, 12 * MEGABYTE) for _ in range(4)]
        with pytest.raises(BodyMemoryError):
            admission.enter(ANYONE, 12 * MEGABYTE, 12 * MEGABYTE)
        entries += [admission.enter(ANYONE, MEGABYTE, MEGABYTE) for _ in range(8)]
        assert admission.taken_bytes == 56 * MEGABYTE
        entries[0].keep(1)
        entries.append(admission.enter(ANYONE, 2 * MEGABYTE, 2 * MEGABYTE))
        for entry in entries:
            entry.close()
        assert _is_empty(admission)

    _run(scenario())


def test_slow_body_gives_way_when_another_needs_its_memory() -> None:
    async def scenario() -> None:
        admission = _admission(seconds=30)
        slow, client = admission.enter(ANYONE, 40 * MEGABYTE, 40 * MEGABYTE), _Client()
        reading = asyncio.create_task(slow.receive(client.receive))
        await asyncio.sleep(0.1)
        # It has left its place, but is no nuisance yet.
        assert admission.present == 0
        with pytest.raises(BodyMemoryError):
            admission.enter(ANYONE, 40 * MEGABYTE, 40 * MEGABYTE)
        await asyncio.sleep(0.7)
        quick = admission.enter(ANYONE, 40 * MEGABYTE, 40 * MEGABYTE)
        with pytest.raises(BodyTimeoutError, match="others wait"):
            await reading
        assert slow.was_stopped
        slow.close()
        quick.close()
        assert _is_empty(admission)

    _run(scenario())


def test_body_times_out_when_the_client_is_slow_and_not_when_the_loop_is() -> None:
    async def scenario() -> None:
        admission, client = _admission(), _Client()
        entry = admission.enter(ANYONE, 10, 10)
        reading = asyncio.create_task(entry.receive(client.receive))
        await asyncio.sleep(0)
        for _ in range(3):
            # Nobody runs meanwhile: six times as long as the body may take.
            time.sleep(0.4)  # noqa: ASYNC251
            await asyncio.sleep(0)
        client.send(b"five!", more=True)
        assert (await reading)["body"] == b"five!"
        started = asyncio.get_running_loop().time()
        with pytest.raises(BodyTimeoutError, match=r"0\.2 seconds"):
            await entry.receive(client.receive)
        assert asyncio.get_running_loop().time() - started < 5
        entry.close()
        assert _is_empty(admission)

    _run(scenario())


async def _end_somehow(admission: Admission, draw: random.Random) -> None:
    """One request, ended in one of the ways that there are, at some moment."""
    client, loop = _Client(), asyncio.get_running_loop()
    caller = draw.choice((ANYONE, Caller("some", "use"), Caller("more", "use", {"requests_at_a_time": 9})))
    size = draw.choice((0, 100, MEGABYTE, 20 * MEGABYTE))
    try:
        entry = admission.enter(caller, size, size)
    except (ServerBusyError, OwnerBusyError):
        return
    for delay in sorted(draw.uniform(0, 0.4) for _ in range(3)):
        what = draw.choice(
            (partial(client.send, b"x", more=True), partial(client.send, b"x", more=False), client.leave)
        )
        loop.call_later(delay, what)
    try:
        async with asyncio.timeout(draw.choice((0.05, 1.0))):
            more = size > 0
            while more:
                message = await entry.receive(client.receive)
                more = message.get("more_body", False)
            if draw.random() < 0.5:
                entry.keep(1)
            if draw.random() < 0.5:
                _compute(entry, loop, draw.uniform(0, 0.2))
                await asyncio.sleep(draw.uniform(0, 0.2))
    except (BodyTimeoutError, ServerBusyError, TimeoutError):
        pass
    finally:
        entry.close()


def _compute(entry: Entry, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """What goes on whether or not the request does."""
    loop.call_later(seconds, entry.lend())


@pytest.mark.parametrize("seed", range(3))
def test_all_is_given_back_when_requests_end_in_any_way(seed: int) -> None:
    async def scenario() -> None:
        admission, draw = _admission(), random.Random(seed)
        for _ in range(6):
            await asyncio.gather(*(_end_somehow(admission, draw) for _ in range(draw.randrange(60))))
        await asyncio.sleep(0.3)
        assert _is_empty(admission)
        assert admission.enter(Caller("some", "use")).has_place

    _run(scenario())
