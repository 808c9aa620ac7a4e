"""What is loaded, what each costs, and who goes when another needs the room. Knows neither sources nor how one loads.

Memory is bounded in bytes. A model that somebody uses is pinned: it stays, and counts, until the last who holds it has
let go. Of the others those asked for longest ago go first.
"""

import logging
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Condition
from time import monotonic
from typing import Final

from schemas.models import ModelState
from service.engine.model import Model
from service.errors import ModelFailedError, ServerBusyError
from service.models.load import Failure, Load
from service.models.memory import Collector
from service.models.sources.source import ModelVersion

logger = logging.getLogger(__name__)

# How long a load waits until there is room: what is in use is so by requests, which mostly take seconds.
PATIENCE_SECONDS: Final = 30.0
# The part of it in which a load waits for room that it needs only while it goes on.
_SHARE_OF_PASSING: Final = 0.25
MEGABYTE: Final = 2**20


class Pin:
    """Held, with a model, by whoever uses it: as long as there is one, the model stays in memory."""


@dataclass(eq=False)
class Resident:
    """A version of a model that is loaded, or about to be; `reserved` bytes are its until it tells what it takes."""

    version: ModelVersion
    load: Future[Load]
    reserved: int = 0
    model: Model | None = None
    pins: int = 0
    is_leaving: bool = False
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def cost(self) -> int:
        """Bytes in memory; grows as graphs are compiled for it."""
        return self.reserved if self.model is None else self.model.probe.held_bytes

    @property
    def state(self) -> ModelState:
        if self.is_leaving:
            return "unloading"
        if not self.load.done():
            return "loading"
        return "failed" if self.failure else "ready"

    def note_end(self) -> None:
        """Its load is about to end: since now it is what that comes to."""
        self.since = datetime.now(UTC)

    @property
    def failure(self) -> Failure | None:
        if not self.load.done() or self.load.cancelled():
            return None
        load = self.load.result()
        return load if isinstance(load, Failure) else None


class Residency:
    """At most `limit` bytes of models, None for any number. Safe to use from several threads."""

    def __init__(self, limit: int | None = None, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.limit = limit
        self._patience = patience_seconds
        self._changed = Condition()
        # In the order in which they were asked for last.
        self._residents: dict[ModelVersion, Resident] = {}
        # Those that are let go of, and in use.
        self._leaving: list[Resident] = []
        self._collector = Collector()

    @property
    def held_bytes(self) -> int:
        """Of all that is in memory, or on its way there."""
        with self._changed:
            return sum(resident.cost for resident in self._all())

    def find(self, version: ModelVersion) -> Resident | None:
        """What is loaded, or about to be, of a version."""
        with self._changed:
            return self._residents.get(version)

    def list(self, name: str | None = None) -> list[Resident]:
        """Of one model, or of all; those on their way out are last."""
        with self._changed:
            return [each for each in self._all() if name is None or each.version.name == name]

    def add(self, resident: Resident) -> None:
        """Keep what is about to be loaded, in place of an earlier one that failed."""
        with self._changed:
            self._residents.pop(resident.version, None)
            self._residents[resident.version] = resident

    def pin(self, resident: Resident) -> Pin:
        """Keep it in memory until nobody holds the pin any more, and count it as asked for last."""
        pin = Pin()
        with self._changed:
            resident.pins += 1
            if self._residents.get(resident.version) is resident:
                self._residents[resident.version] = self._residents.pop(resident.version)
            # Others have grown since, as graphs were compiled for them.
            self._make_room(0, resident)
        weakref.finalize(pin, self._unpin, resident).atexit = False
        return pin

    def admit(self, resident: Resident, expected: int, passing: int = 0) -> None:
        """Make room for what is about to be loaded, of about so many bytes, and so many more while it is.

        Waits while all others are in use; for what passes not long, as a busy model may never be let go of. Raises
        ModelFailedError where it can never be, ServerBusyError where nobody lets go in time.
        """
        self._require_possible(expected)
        wanted = expected + passing if self.limit is None else min(expected + passing, self.limit)
        with self._changed:
            if not self._wait_for_room(wanted, resident, self._patience * _SHARE_OF_PASSING):
                self._require_room(expected, resident)
            resident.reserved = wanted
        # Those who went are full of cycles: what has made room on paper is still in memory.
        self._collector.collect_due()

    def settle(self, resident: Resident, model: Model) -> None:
        """It has been loaded, and counts with what it takes: more may have to go. Raises what `admit` raises."""
        weakref.finalize(model.probe, self._collector.collect_soon).atexit = False
        self._require_possible(model.probe.held_bytes)
        with self._changed:
            resident.reserved = model.probe.held_bytes
            self._require_room(0, resident)
            resident.model = model
        self._collector.collect_due()

    def release(self, resident: Resident) -> None:
        """Let go of a model; its memory comes back when the last who uses it has ended."""
        with self._changed:
            if self._residents.get(resident.version) is resident:
                del self._residents[resident.version]
            if resident.pins and not resident.is_leaving:
                resident.is_leaving, resident.since = True, datetime.now(UTC)
                self._leaving.append(resident)
            self._collector.collect_soon()
            self._changed.notify_all()

    def _unpin(self, resident: Resident) -> None:
        # A collection may call this on a thread that holds the lock: a Condition's is reentrant.
        with self._changed:
            resident.pins -= 1
            if not resident.pins and resident.is_leaving:
                self._leaving.remove(resident)
                self._collector.collect_soon()
            self._changed.notify_all()

    def _all(self) -> Iterator[Resident]:
        yield from self._residents.values()
        yield from self._leaving

    def _require_room(self, needed: int, keep: Resident) -> None:
        if not self._wait_for_room(needed, keep, self._patience):
            raise ServerBusyError("all models in memory are in use: try again in a moment")

    def _wait_for_room(self, needed: int, keep: Resident, seconds: float) -> bool:
        end = monotonic() + seconds
        while not self._make_room(needed, keep):
            if not self._changed.wait(max(0.0, end - monotonic())):
                return False
        return True

    def _make_room(self, needed: int, keep: Resident | None) -> bool:
        """Let go of those asked for longest ago, until so many bytes are free; False where they cannot be."""
        if self.limit is None:
            return True
        free = self.limit - needed - sum(each.cost for each in self._all() if each is not keep or not needed)
        for other in list(self._residents.values()):
            if free >= 0:
                break
            if other is not keep and other.model is not None and not other.pins:
                logger.info("model %s version %s makes room for another", other.version.name, other.version.version)
                del self._residents[other.version]
                free += other.cost
                self._collector.collect_soon()
        return free >= 0

    def _require_possible(self, needed: int) -> None:
        if self.limit is not None and needed > self.limit:
            raise ModelFailedError(
                f"the model takes {-(-needed // MEGABYTE)} MB of memory, and all models may take "
                f"{self.limit // MEGABYTE} MB together (CONVSCOPE_LIMITS__MODEL_BYTES)"
            )
