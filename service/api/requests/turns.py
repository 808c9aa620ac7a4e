"""A request's turn to be computed: whose lane it waits in, and that it is given up once its client has left."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Event

from fastapi import Request

from service.api.requests.entries import require_entry
from service.api.requests.executor import Waiter


@dataclass(frozen=True)
class Turn:
    """What waits in the executor, and what the computation asks whether it is still waited for."""

    waiter: Waiter
    is_abandoned: Callable[[], bool]


def take_turns(request: Request, model: str) -> Turn:
    """With others of the same owner, and with its own requests to other models. The entry's place goes with it."""
    entry, gone = require_entry(request.scope), Event()
    waiter = Waiter(
        entry.owner,
        model,
        departure=partial(until_gone, request),
        reserved=True,
        abandon=gone.set,
        ended=entry.lend(),
    )
    return Turn(waiter, gone.is_set)


async def until_gone(request: Request) -> None:
    """Wait until the client of a request whose body has been read has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
