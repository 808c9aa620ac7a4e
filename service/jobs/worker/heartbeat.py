"""The heartbeat of a chunk that is being computed: progress out, lease renewed, orders in."""

import logging
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Final, Self

from service.jobs.store.errors import JobsUnavailableError
from service.jobs.store.port import Claim, JobStore, Order

logger = logging.getLogger(__name__)

# At the latest; sooner where a step has been taken, but not twice within half of it.
BEAT_SECONDS: Final = 0.5
# Loading and tracing take no steps; whatever takes longer than this hangs, and its lease must end.
MAX_SILENCE_SECONDS: Final = 180.0


class StoppedError(Exception):
    """The work is to be given up, for the reason that `order` gives."""

    def __init__(self, order: Order) -> None:
        super().__init__(order)
        self.order = order


class Heartbeat:
    """Beats on a thread of its own while the block is entered, so that a slow store never slows the computation."""

    def __init__(self, store: JobStore, claim: Claim, *, lease_seconds: float) -> None:
        self._store = store
        self._claim = claim
        self._period = min(BEAT_SECONDS, lease_seconds / 3)
        self._fraction = 0.0
        self._stepped = monotonic()
        self._order: Order = "continue"
        self._stopped = Event()
        self._moved = Event()
        self._thread = Thread(target=self._beat, name="heartbeat", daemon=True)

    def report(self, fraction: float) -> None:
        """Note the share done, 0…1. Raises StoppedError once the store has ordered so."""
        self._fraction = fraction
        self._stepped = monotonic()
        self._moved.set()
        if self._order != "continue":
            raise StoppedError(self._order)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._moved.set()

    def _beat(self) -> None:
        while self._pause() and monotonic() - self._stepped < MAX_SILENCE_SECONDS:
            try:
                order = self._store.beat(self._claim, self._fraction)
            except JobsUnavailableError as error:
                # The lease may outlive the interruption.
                logger.warning("no beat for job %s: %s", self._claim.record.id, error.detail)
                continue
            if order != "continue":
                self._order = order
                return

    def _pause(self) -> bool:
        """Until the next beat is due; False when the work is over."""
        if self._stopped.wait(self._period / 2):
            return False
        # A long step is told of when it ends: a fixed period would add up to itself to what a client waits.
        self._moved.wait(self._period / 2)
        self._moved.clear()
        return not self._stopped.is_set()
