"""Who is let in: a request holds what it will need before its body is read, or is refused at once.

How many are let in follows from how long they would wait. An owner that sends more than that is held to very few at a
time until it sends less, so that those few are answered about as fast as ever; others are not bound by it.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from starlette.types import Scope

from service.api.access.callers import ANYONE, Caller, caller_of
from service.api.requests.entries import LOOK_SECONDS, Entry, entry_of, note_entry, too_slow
from service.api.requests.rates import RateLimitedError
from service.api.requests.uploads import BodyTimeoutError
from service.errors import ServerBusyError

# As many as clients send together: they are let in however long they wait.
_BURST: Final = 16
# How long after its last refusal an owner is held to few.
_CALM_SECONDS: Final = 1.0
# One is read and drawn while another is computed.
_FEW: Final = max(2, os.cpu_count() or 1)
# Larger bodies may take three quarters of the memory for all: small ones find room beside them.
_SMALL_BYTES: Final = 2**20
# A body that has been waited for so long is a slow client's.
_SLOW_SECONDS: Final = 0.25
# Where as many again were refused, it is no burst: who has come no longer ago hears that it is to come again.
_JUST_SECONDS: Final = 0.07
# What one more answer weighs in the mean time between two.
_WEIGHT: Final = 0.05


class OwnerBusyError(RateLimitedError):
    """One owner has as many requests open as it may."""


class BodyMemoryError(ServerBusyError):
    """All memory for bodies is held."""


@dataclass(eq=False)
class _Demand:
    """One owner's requests. It is held to few until then, and so many were refused since it is."""

    open: int = 0
    held_until: float = 0.0
    refused: int = 0
    inside: dict[Entry, None] = field(default_factory=dict)

    @property
    def present(self) -> int:
        return len(self.inside)


@dataclass(frozen=True)
class AdmissionLimits:
    """A body may take `seconds`, and one more for every `rate` bytes of it.

    `at_a_time` are the requests that one owner of keys may have open. Who would wait longer than `wait_seconds` comes
    again later.
    """

    running: int
    waiting: int
    body_bytes: int
    seconds: float
    rate: float
    at_a_time: int = 32
    wait_seconds: float = 0.1


class Admission:
    """Places and bytes for all requests; implements Holder. To be used from the event loop alone."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self._limits = limits
        self._slots = limits.running + limits.waiting
        self._free_bytes = limits.body_bytes
        # Owners are those of the key file.
        self._demands: defaultdict[str, _Demand] = defaultdict(_Demand)
        self._reading: set[Entry] = set()
        self._looking: asyncio.TimerHandle | None = None
        self._each_seconds = 0.0
        self._answered_at: float | None = None
        self.present = 0

    @property
    def taken_bytes(self) -> int:
        """What all requests hold; may be read from any thread, as may `present` and `reading`."""
        return self._limits.body_bytes - self._free_bytes

    @property
    def reading(self) -> int:
        return len(self._reading)

    def enter(self, caller: Caller, announced: int = 0, memory: int = 0) -> Entry:
        """Hold a place, and so many bytes, until the entry is closed. Raises ServerBusyError or OwnerBusyError."""
        owner, demand = caller.owner, self._demands[caller.owner]
        if owner and demand.open >= caller.overrides.get("requests_at_a_time", self._limits.at_a_time):
            raise OwnerBusyError(f"{demand.open} requests of this key are being answered: wait for one of them")
        self._require_place(owner)
        self._take_bytes(memory)
        entry = Entry(self, owner, memory, announced, self._limits.seconds, self._limits.rate)
        entry.entered = asyncio.get_running_loop().time()
        demand.open += 1
        self._take_place(entry)
        if announced:
            self._reading.add(entry)
            self._look_again()
        return entry

    @contextmanager
    def hold(self, scope: Scope) -> Iterator[None]:
        """For the block, an entry for a request that came without a body. Raises what `enter` raises."""
        if entry_of(scope) is not None:
            yield
            return
        entry = self.enter(caller_of(scope))
        note_entry(scope, entry)
        try:
            yield
        finally:
            entry.close()

    def find_lack(self, length: int) -> Literal["places", "memory"] | None:
        """What a request with a body of that length, of whoever brings no key, would be refused for now."""
        if self._lacks_place(ANYONE.owner) and not self.waits_for_readers():
            return "places"
        return "memory" if self._lacks_bytes(length) and not self._find_behind() else None

    def waits_for_readers(self, owner: str = ANYONE.owner) -> bool:
        """Whether bodies that have not come are in the way: they leave their places in a moment.

        Who is held to few waits for nothing: what it has let in is to be quick.
        """
        demand, readers = self._demands[owner], self._count_readers(owner)
        is_held = asyncio.get_running_loop().time() < demand.held_until
        return not is_held and readers > 0 and demand.present - readers < self._most()

    def return_to_place(self, entry: Entry) -> None:
        """See Holder. Raises ServerBusyError."""
        demand = self._demands[entry.owner]
        # Who is slow has sent for long what others would have to send again.
        most = self._most() if entry.awaited >= _SLOW_SECONDS else self._bound(demand)
        if demand.present >= most:
            raise ServerBusyError("the body came slowly, and meanwhile others have come: try again in a moment")
        self._take_place(entry)

    def give_place(self, entry: Entry) -> None:
        """See Holder."""
        entry.has_place = False
        self.present -= 1
        del self._demands[entry.owner].inside[entry]

    def note_answer(self) -> None:
        """See Holder: the mean time between two answers is measured, while there is something to answer."""
        now = asyncio.get_running_loop().time()
        if self._answered_at is not None:
            taken = now - self._answered_at
            self._each_seconds += _WEIGHT * (taken - self._each_seconds) if self._each_seconds else taken
        self._answered_at = now

    def give_bytes(self, count: int) -> None:
        """See Holder."""
        self._free_bytes += count

    def stop_waiting(self, entry: Entry) -> None:
        """See Holder."""
        self._reading.discard(entry)

    def end(self, entry: Entry) -> None:
        """See Holder."""
        self._demands[entry.owner].open -= 1

    def _take_place(self, entry: Entry) -> None:
        if not self.present:
            self._answered_at = None
        entry.has_place = True
        self.present += 1
        self._demands[entry.owner].inside[entry] = None

    def _require_place(self, owner: str) -> None:
        if self._lacks_place(owner):
            raise ServerBusyError(f"{self.present} requests are already running or waiting: try again in a moment")

    def _lacks_place(self, owner: str) -> bool:
        """Whether the owner has as many in work as it may; it is then held to few."""
        demand = self._demands[owner]
        now, most = asyncio.get_running_loop().time(), self._bound(demand)
        if self._has_place(demand, most) or (self._move_readers(now) and self._has_place(demand, most)):
            return False
        is_crowded = demand.present - self._count_readers(owner) >= most * 3 // 4
        if is_crowded and self._slots > _BURST:
            demand.refused = demand.refused + 1 if now < demand.held_until else 1
            demand.held_until = now + _CALM_SECONDS
            if demand.refused == _BURST:
                self._turn_away(demand, now)
        return True

    def _bound(self, demand: _Demand) -> int:
        """How many of this owner may be in work now."""
        return _FEW if asyncio.get_running_loop().time() < demand.held_until else self._most()

    def _turn_away(self, demand: _Demand, now: float) -> None:
        """Those who have just come, and would wait for all that came with them."""
        for entry in list(demand.inside)[_FEW:]:
            if now - entry.entered < _JUST_SECONDS:
                entry.stop(ServerBusyError("more requests have come at once than are answered in time: try again"))

    def _has_place(self, demand: _Demand, most: int) -> bool:
        return self.present < self._slots and demand.present < most

    def _move_readers(self, now: float) -> bool:
        """Whether there were any bodies that have not come, and left their places to others."""
        before = self.present
        for entry in self._reading:
            entry.look(now, LOOK_SECONDS)
        return self.present < before

    def _most(self) -> int:
        """How many of one owner may be in work: as many as are answered in time."""
        in_time = int(self._limits.wait_seconds / self._each_seconds) if self._each_seconds else self._slots
        return min(self._slots, max(_BURST, in_time))

    def _count_readers(self, owner: str) -> int:
        """Bodies that hold a place and have not come."""
        return sum(entry.has_place for entry in self._reading if entry.owner == owner)

    def _take_bytes(self, count: int) -> None:
        while self._lacks_bytes(count):
            if not self._displace():
                raise BodyMemoryError("the memory for requests' bodies is in use: try again in a moment")
        self._free_bytes -= count

    def _lacks_bytes(self, count: int) -> bool:
        spare = self._limits.body_bytes // 4 if count > _SMALL_BYTES else 0
        return self._free_bytes - count < spare

    def _find_behind(self) -> list[Entry]:
        """Bodies that come more slowly than they have to."""
        return [entry for entry in self._reading if entry.held and entry.is_behind()]

    def _displace(self) -> bool:
        """Give up the body that comes most slowly, where one is slower than it has to be."""
        behind = self._find_behind()
        if not behind:
            return False
        slowest = min(behind, key=Entry.pace)
        slowest.stop(BodyTimeoutError("the body came too slowly, and others wait to send theirs"))
        return True

    def _look_again(self) -> None:
        if self._looking is None and self._reading:
            self._looking = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """At all bodies that are waited for."""
        self._looking = None
        now = asyncio.get_running_loop().time()
        for entry in list(self._reading):
            entry.look(now, LOOK_SECONDS)
            if entry.is_late():
                entry.stop(too_slow(entry))
        self._look_again()
