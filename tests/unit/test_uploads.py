"""Places for large bodies: whoever dawdles gives way, and only where others wait."""

import asyncio
from collections.abc import Callable

from service.api.requests.uploads import BodyTimeoutError, Upload, Uploads
from service.errors import ServerBusyError

GRACE = 0.2
SIZE = 10**6


async def _send(uploads: Uploads, go_on: asyncio.Event, note: Callable[[Upload], None], step: int = 0) -> str:
    """Hold a place until told; `step` bytes come every hundredth of a second."""
    try:
        async with uploads.take(SIZE) as upload:
            note(upload)
            while not go_on.is_set():
                upload.received(step)
                await asyncio.sleep(0.01)
    except BodyTimeoutError:
        return "too slow"
    except ServerBusyError:
        return "busy"
    return "received"


def _nothing(_: Upload) -> None:
    """No one looks."""


def _ended() -> asyncio.Event:
    """Of one who has sent all there is as soon as there is a place."""
    event = asyncio.Event()
    event.set()
    return event


def test_dawdlers_give_way_when_others_wait():
    async def scenario() -> None:
        uploads, end = Uploads(2, slowest=1000, grace_seconds=GRACE), asyncio.Event()
        dawdlers = [asyncio.create_task(_send(uploads, end, _nothing, step=1)) for _ in range(8)]
        await asyncio.sleep(0.01)
        honest = await _send(uploads, _ended(), _nothing)
        end.set()
        answers = await asyncio.gather(*dawdlers)
        assert honest == "received"
        assert "too slow" in answers
        assert set(answers) <= {"too slow", "busy", "received"}

    asyncio.run(scenario())


def test_quick_ones_and_whole_ones_stay_when_others_wait():
    async def scenario() -> None:
        # Long enough for a busy machine, on which a loop that stands still makes the quick one slow.
        uploads, end = Uploads(2, slowest=1000, grace_seconds=5 * GRACE), asyncio.Event()
        quick = asyncio.create_task(_send(uploads, end, _nothing, step=100))
        whole = asyncio.create_task(_send(uploads, end, lambda upload: upload.received(SIZE)))
        await asyncio.sleep(0.01)
        for _ in range(2):
            assert await _send(uploads, _ended(), _nothing) == "busy"
        end.set()
        assert [await quick, await whole] == ["received"] * 2
        assert await _send(uploads, end, _nothing) == "received"

    asyncio.run(scenario())


def test_dawdlers_are_left_alone_when_nobody_waits():
    async def scenario() -> None:
        uploads, end = Uploads(1, slowest=1000, grace_seconds=0.02), asyncio.Event()
        alone = asyncio.create_task(_send(uploads, end, _nothing))
        await asyncio.sleep(0.2)
        end.set()
        assert await alone == "received"

    asyncio.run(scenario())


def test_a_burst_does_not_count_for_long_when_nothing_follows():
    async def scenario() -> None:
        uploads, end = Uploads(1, slowest=1000, grace_seconds=GRACE), asyncio.Event()
        # As if it had sent nearly all at once, to sit on it then.
        stalled = asyncio.create_task(_send(uploads, end, lambda upload: upload.received(SIZE - 1)))
        await asyncio.sleep(0.01)
        honest = await _send(uploads, _ended(), _nothing)
        assert [await asyncio.wait_for(stalled, 60), honest] == ["too slow", "received"]

    asyncio.run(scenario())


def test_only_so_many_wait_when_all_places_are_taken():
    async def scenario() -> None:
        uploads, end = Uploads(1, slowest=1, grace_seconds=GRACE), asyncio.Event()
        held = asyncio.create_task(_send(uploads, end, lambda upload: upload.received(SIZE)))
        await asyncio.sleep(0.01)
        answers = await asyncio.gather(*(_send(uploads, end, _nothing) for _ in range(40)))
        assert answers == ["busy"] * 40
        end.set()
        assert await held == "received"

    asyncio.run(scenario())
